package source

import "testing"

func TestGenerated(t *testing.T) {
	policy := NewFile("p.yaml", "a: 1\nbb: 22\n")
	var b Builder
	b.Write("own ")
	b.From(Span{policy, 3, 4})
	b.Printf("%s ", "one")
	b.From(Span{policy, 9, 11})
	b.Write("two ")
	b.From(Span{})
	b.Write("own")
	f := b.File("script")
	for _, c := range []struct {
		start, end int
		want       string
	}{
		{0, 3, "p.yaml:1:4-5"},
		{4, 7, "p.yaml:1:4-5"},
		{8, 11, "p.yaml:2:5-7"},
		{10, 15, "p.yaml:2:5-7"},
		{12, 15, "p.yaml:2:5-7"},
	} {
		if got := (Span{f, c.start, c.end}).String(); got != c.want {
			t.Errorf("%d to %d is %s, want %s", c.start, c.end, got, c.want)
		}
	}
	f.words = func(message string) string { return "not " + message }
	if got, want := (Diag{Span: Span{f, 8, 11}, Msg: "wrong", Hint: "so"}).Render(), "p.yaml:2:5-7: ERROR: wrong\nbb: 22\n    ~~\nHINT: not so\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
