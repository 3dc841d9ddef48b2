"""The Android example's two builds have the same versions, and its Gradle wrapper is Gradle's own."""

from __future__ import annotations

import hashlib
import re
import tomllib
from pathlib import Path

ANDROID = Path(__file__).resolve().parent.parent / "examples/android"
WRAPPER_8_14 = "7d3a4ac4de1c32b59bc6a4eb8ecb8e612ccd0cf1ae1e99f66902da64df296172"
"""SHA-256 of the wrapper of Gradle 8.14 to 8.14.3, as gradle.org publishes it."""
ONLY_GRADLE = {"activity", "android-gradle", "camerax", "core", "lifecycle", "litert"}
"""Of Google's Maven: Maven has stubs of them."""


def test_maven_has_the_versions_of_the_catalogue() -> None:
    catalogue = tomllib.loads((ANDROID / "gradle/libs.versions.toml").read_text(encoding="utf-8"))["versions"]
    maven = dict(re.findall(r"<([\w-]+)\.version>([^<]+)</", (ANDROID / "pom.xml").read_text(encoding="utf-8")))
    assert {name: maven.get(name) for name in catalogue.keys() - ONLY_GRADLE} == {
        name: version for name, version in catalogue.items() if name not in ONLY_GRADLE
    }


def test_no_build_file_names_a_version_of_its_own() -> None:
    for path in ("build.gradle.kts", "app/build.gradle.kts", "core/build.gradle.kts"):
        text = (ANDROID / path).read_text(encoding="utf-8")
        assert not re.search(r'"[\w.-]+:[\w.-]+:\d|version "|(compile|target|min)Sdk = \d', text), path


def test_the_wrapper_is_gradles_own() -> None:
    wrapper = ANDROID / "gradle/wrapper"
    assert hashlib.sha256((wrapper / "gradle-wrapper.jar").read_bytes()).hexdigest() == WRAPPER_8_14
    properties = (wrapper / "gradle-wrapper.properties").read_text(encoding="utf-8")
    assert re.search(r"^distributionUrl=https\\://services\.gradle\.org/distributions/gradle-8\.14\.3-bin\.zip$",
                     properties, re.MULTILINE)  # fmt: skip
    assert re.search(r"^distributionSha256Sum=[0-9a-f]{64}$", properties, re.MULTILINE)
