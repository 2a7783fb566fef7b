package probes

import "testing"

func TestListedValue(t *testing.T) {
	for _, c := range []struct {
		pattern []string
		want    bool
	}{
		{nil, true},
		{[]string{"*"}, true},
		{[]string{"ms"}, true},
		{[]string{"m*"}, true},
		{[]string{"ms", ""}, true},
		{[]string{"ms", "*"}, true},
		{[]string{"*", "*"}, true},
		{[]string{"hz"}, false},
		{[]string{"hz", "*"}, false},
		{[]string{"ms", "100"}, false},
		{[]string{"ms", "*", "*"}, false},
	} {
		if got := listedValue(c.pattern, "ms"); got != c.want {
			t.Errorf("%q: %v", c.pattern, got)
		}
	}
}
