import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    alias(libs.plugins.android.application)
    alias(libs.plugins.kotlin.android)
}

android {
    namespace = "io.github.edgenima.app"
    compileSdk = 35

    defaultConfig {
        applicationId = "io.github.edgenima.app"
        minSdk = 26
        targetSdk = 35
        versionCode = 1
        versionName = "0.1.0"
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_1_8
        targetCompatibility = JavaVersion.VERSION_1_8
    }

    sourceSets {
        // What needs Google's Maven lies apart: Maven builds and tests all the rest.
        named("main") { kotlin.srcDir("src/google/kotlin") }
        // Its tests are Maven's.
        named("test") { kotlin.setSrcDirs(emptyList<String>()) }
    }
}

kotlin {
    compilerOptions {
        jvmTarget = JvmTarget.JVM_1_8
    }
}

dependencies {
    implementation(project(":core"))
    implementation(libs.camera.camera2)
    implementation(libs.camera.lifecycle)
    implementation(libs.camera.view)
    implementation(libs.lifecycle)
    implementation(libs.tensorflow.lite)
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
