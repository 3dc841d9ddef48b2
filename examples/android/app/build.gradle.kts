import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    alias(libs.plugins.android.application)
    alias(libs.plugins.kotlin.android)
}

android {
    namespace = "io.github.edgenima.app"
    compileSdk = libs.versions.target.sdk.get().toInt()

    defaultConfig {
        applicationId = "io.github.edgenima.app"
        minSdk = libs.versions.min.sdk.get().toInt()
        targetSdk = libs.versions.target.sdk.get().toInt()
        versionCode = 1
        versionName = "0.1.0"
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_11
        targetCompatibility = JavaVersion.VERSION_11
    }

    packaging {
        // Of LiteRT's accelerators none is used, and in some releases they are not aligned to pages of 16 KB.
        jniLibs.excludes += "**/libLiteRt*Accelerator.so"
    }

    testOptions {
        unitTests.isIncludeAndroidResources = true
    }

    sourceSets {
        // LiteRT's native library is for phones: in a test its stub runs the models, found before LiteRT itself.
        named("test") { java.srcDir("../stubs/litert") }
    }
}

kotlin {
    compilerOptions {
        jvmTarget = JvmTarget.JVM_11
    }
}

dependencies {
    implementation(project(":core"))
    implementation(libs.activity)
    implementation(libs.camera.camera2)
    implementation(libs.camera.lifecycle)
    implementation(libs.camera.view)
    implementation(libs.core)
    implementation(libs.coroutines)
    implementation(libs.lifecycle.viewmodel)
    implementation(libs.litert)

    testImplementation(testFixtures(project(":core")))
    testImplementation(libs.gson)
    testImplementation(libs.kotlin.test.junit4)
    testImplementation(libs.robolectric)
    testRuntimeOnly(platform(libs.junit.bom))
    testRuntimeOnly(libs.junit.jupiter)
    testRuntimeOnly(libs.tensorflow.lite.jvm)
    testRuntimeOnly(variantOf(libs.tensorflow.lite.jvm) { classifier("linux-x86_64") })
    testRuntimeOnly(variantOf(libs.javacpp) { classifier("linux-x86_64") })
}

// Other vectors are other tests.
tasks.withType<Test>().configureEach {
    inputs.property("vectors", providers.environmentVariable("EDGE_NIMA_VECTORS").orElse(""))
    jvmArgs("--add-opens", "java.base/java.io=ALL-UNNAMED")
}

// The model that the command line uses by default, or -PedgeNimaModel=FILE.
val copyModel = tasks.register<Copy>("copyModel") {
    val bundled = rootDir.resolve("../../edge_nima/models/mobilenet-ava-int8-mixed.tflite").path
    from(providers.gradleProperty("edgeNimaModel").orElse(bundled).map { file(it) })
    into(layout.buildDirectory.dir("generated/model"))
    rename { "model.tflite" }
}
android.sourceSets.named("main") { assets.srcDir(layout.buildDirectory.dir("generated/model").get().asFile) }
tasks.named("preBuild") { dependsOn(copyModel) }
