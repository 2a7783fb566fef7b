package probes

import "testing"

// TestCounterOf separates the offsets of counters from places.
func TestCounterOf(t *testing.T) {
	for _, c := range []struct {
		in, place string
		counter   uint64
	}{
		{"f", "f", 0}, {"f(0x1000)", "f", 4096}, {"f+4(12)", "f+4", 12}, {"0x40(8)", "0x40", 8},
		{"f(int)", "f(int)", 0}, {"f()", "f()", 0}, {"(8)", "(8)", 0}, {"f(8", "f(8", 0}, {"g.(*T).f", "g.(*T).f", 0}, {"a(1)(2)", "a(1)(2)", 0},
	} {
		if place, n := counterOf(c.in); place != c.place || n != c.counter {
			t.Errorf("%s: %s, %d", c.in, place, n)
		}
	}
}
