"""Traces, metrics and logs, by the OpenTelemetry API alone: without an SDK in the process they cost next to nothing."""
