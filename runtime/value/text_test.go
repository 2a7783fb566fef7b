package value

import (
	"fmt"
	"testing"
)

// TestSeriesUnit checks that the time of a single point is exact, and that the
// times of several are as fine as their interval requires.
func TestSeriesUnit(t *testing.T) {
	for _, c := range []struct {
		interval int64
		points   int
		want     string
	}{
		{1e9, 1, "hh:mm:ss.ns"},
		{1e9, 2, "hh:mm:ss"},
		{15e8, 2, "hh:mm:ss.ms"},
		{1e4, 3, "hh:mm:ss.us"},
		{7, 3, "hh:mm:ss.ns"},
	} {
		if got, _ := timeUnit(c.interval, c.points); got != c.want {
			t.Errorf("%d points of %d ns: %s, want %s", c.points, c.interval, got, c.want)
		}
	}
}

// TestString checks that package fmt shows values as print does.
func TestString(t *testing.T) {
	v := Tuple{Str{S: "a", Truncated: true}, Uint(7), Enum{Name: "RED", V: 3}, Array{Int(-1), Null{}}}
	if got, want := fmt.Sprint(v), "(a.., 7, RED, [-1,null])"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
