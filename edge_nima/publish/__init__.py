"""Telling others: an MQTT broker with Home Assistant's discovery, and Prometheus' text format."""
