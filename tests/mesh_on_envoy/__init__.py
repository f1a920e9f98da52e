"""Real generated configuration on a real Envoy: is what the tracer says of it true?"""
