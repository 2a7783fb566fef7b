package pattern

import "testing"

// TestFewStates checks that no state is made for a part of a character which the patterns
// do not distinguish from others.
func TestFewStates(t *testing.T) {
	for _, c := range []struct {
		text string
		most int
	}{
		{"secret", 10},
		{"secr\u00e9t", 100},
	} {
		p, ok := Literal(c.text, Anywhere, false)
		b, err := newBuilder([]Pattern{p})
		if !ok || err != nil || !b.build() {
			t.Fatal(c.text, ok, err)
		}
		if len(b.states) > c.most {
			t.Errorf("%s: %d states", c.text, len(b.states))
		}
	}
}
