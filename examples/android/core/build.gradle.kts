import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    alias(libs.plugins.kotlin.jvm)
    `java-test-fixtures`
}

java {
    sourceCompatibility = JavaVersion.VERSION_1_8
    targetCompatibility = JavaVersion.VERSION_1_8
}

kotlin {
    explicitApi()
    compilerOptions {
        jvmTarget = JvmTarget.JVM_1_8
    }
}

tasks.compileKotlin {
    // java.nio of Java 9 has methods that a phone lacks; of Java 8 it has not.
    compilerOptions.freeCompilerArgs.add("-Xjdk-release=1.8")
}

dependencies {
    implementation(libs.gson)

    testFixturesImplementation(libs.gson)
    testFixturesImplementation(platform(libs.junit.bom))
    testFixturesImplementation(libs.junit.jupiter)
    testFixturesImplementation(libs.tensorflow.lite.jvm)

    testImplementation(libs.kotlin.test)
    testImplementation(platform(libs.junit.bom))
    testImplementation(libs.junit.jupiter)
    testRuntimeOnly(libs.junit.launcher)
    testRuntimeOnly(variantOf(libs.tensorflow.lite.jvm) { classifier("linux-x86_64") })
    testRuntimeOnly(variantOf(libs.javacpp) { classifier("linux-x86_64") })
}

tasks.test {
    useJUnitPlatform()
    // Other vectors are other tests.
    inputs.property("vectors", providers.environmentVariable("EDGE_NIMA_VECTORS").orElse(""))
}
