package cases

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

const several = `# Sums.
kernel: 7

-- case one --
# with headers
stderr: a: b
stderr: c
-- script --
begin { }

-- stdout --

x

-- script --
end { }
-- script --
interval:s:1 { }
`

func TestParse(t *testing.T) {
	f, err := Parse("dir/x.txtar", []byte(several), "kernel", "stderr")
	if err != nil {
		t.Fatal(err)
	}
	var got [][]string
	for _, c := range f.Cases {
		got = append(got, []string{c.Name, c.At, c.Header("kernel"), strings.Join(c.Headers("stderr"), "|"), c.Section("script"), c.Section("stdout")})
	}
	want := [][]string{
		{"one", "dir/x.txtar:4", "7", "a: b|c", "begin { }\n", "\nx\n"},
		{"line 15", "dir/x.txtar:15", "7", "", "end { }\n", ""},
		{"line 17", "dir/x.txtar:17", "7", "", "interval:s:1 { }\n", ""},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
	f, err = Parse("dir/alone.txtar", []byte("-- script --\nend { }\n-- stdout --\n"))
	if err != nil || len(f.Cases) != 1 || f.Cases[0].Name != "alone" {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                                        "no cases",
		"kernle: 7\n-- script --\nx\n":            `x:1: "kernle: 7" is not a header`,
		"-- case a --\nwords\n-- script --\nx\n":  `x:2: "words" is not a header`,
		"-- case a --\n-- case b --\n-- s --\n":   "x:1: the case has no section",
		"-- case a --\n-- s --\n-- case a --\n\n": `x:3: a second case is named "a"`,
	} {
		if _, err := Parse("x", []byte(text), "kernel"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// recorder is a test that counts its failures.
type recorder struct {
	testing.TB
	errors []string
}

func (r *recorder) Helper() {}
func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, strings.SplitN(format, "\n", 2)[0])
}

// TestCheck checks that Check reports every difference, and none after the result has
// been recorded.
func TestCheck(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.txtar")
	if err := os.WriteFile(path, []byte(several), 0o644); err != nil {
		t.Fatal(err)
	}
	check := func(got ...Section) int {
		r := &recorder{TB: t}
		c := Read(t, path, "kernel", "stderr").Cases[0]
		c.Input(t, "script")
		c.Check(r, got...)
		return len(r.errors)
	}
	same := Section{"stdout", "\nx"}
	for _, c := range []struct {
		errors int
		got    []Section
	}{
		{0, []Section{same}},
		{0, []Section{same, {"stderr", "\n"}}},
		{1, []Section{{"stdout", "y"}}},
		{1, nil},
		{1, []Section{same, {"stderr", "z"}}},
	} {
		if n := check(c.got...); n != c.errors {
			t.Errorf("%q: %d errors, want %d", c.got, n, c.errors)
		}
	}

	*Update = true
	check(Section{"stdout", "y\n\n"}, Section{"stderr", "z"})
	*Update = false
	text, err := os.ReadFile(path)
	want := strings.Replace(several, "begin { }\n\n-- stdout --\n\nx\n", "begin { }\n-- stdout --\ny\n-- stderr --\nz\n", 1)
	want = strings.Replace(want, "end { }\n", "end { }\n\n", 1)
	if err != nil || string(text) != want {
		t.Errorf("recorded:\n%s\nwant:\n%s%v", text, want, err)
	}
	if n := check(Section{"stdout", "y"}, Section{"stderr", "z"}); n != 0 {
		t.Errorf("%d errors after it was recorded", n)
	}
}

func TestDifference(t *testing.T) {
	if got, want := Difference("a\nb\nc\nd", "a\nx\nc\nd\ne"), "-b\n+x\n+e\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := Difference("same", "same"); got != "" {
		t.Errorf("%q", got)
	}
}
