# expect: memory_limit
kept = bytearray(1 << 40)
