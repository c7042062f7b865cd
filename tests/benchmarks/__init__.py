"""Tests of benchmarks that have packages of their own."""
