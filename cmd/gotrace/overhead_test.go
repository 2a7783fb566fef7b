package main

import (
	"strings"
	"testing"
)

func TestParsePercent(t *testing.T) {
	for text, want := range map[string]float64{"2%": .02, "0.5": .005, "2.5%": .025, "100": 1, "100%": 1, ".1": .001, "1": .01} {
		if got, err := parsePercent(text); err != nil || got != want {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "%", "0", "0%", "-1", "101%", "two", "2%%", "2 %", "NaN", "Inf", "1e1", "0x2", "1_0"} {
		if got, err := parsePercent(text); err == nil {
			t.Errorf("%q is %v, want an error", text, got)
		} else if !strings.Contains(err.Error(), "such as 2% or 0.5") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
