package runtime

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestSplitWords checks that lines are split as a shell splits them.
func TestSplitWords(t *testing.T) {
	for _, line := range []string{
		"", "  \t", "a", "a b", " a  b ", "'a  b'", `"a  b"`, `a' b'"c "d`, `''`, `""`, `a '' b`, `sh -c 'echo "a  b"'`,
		`sh -c "echo 'a  b'"`, `a\ b`, `\a`, `a\\b`, `"a\"b"`, `"a\nb"`, `"a\\b"`, `'a\b'`, `"\` + "`" + `"`, `"'"`, `'"'`,
		"a\tb", "a\\\nb", "\"a\\\nb\"", "ä 'ö ü'", `"\$x"`, `\"a`, `\'`, `a"b c"d`,
	} {
		got, err := splitWords(line)
		if err != nil {
			t.Errorf("%q: %v", line, err)
			continue
		}
		want := shellWords(t, line)
		if !slices.Equal(got, want) {
			t.Errorf("%q: %q, the shell says %q", line, got, want)
		}
	}
	for _, line := range []string{`'`, `"`, `a 'b`, `a "b'`, `\`, `a\`, `"\"`} {
		if got, err := splitWords(line); err == nil {
			t.Errorf("%q is %q", line, got)
		}
	}
}

func shellWords(t *testing.T, line string) []string {
	t.Helper()
	out, err := exec.Command("sh", "-c", "set -- "+line+"\nfor w; do printf '%s\\0' \"$w\"; done").Output()
	if err != nil {
		t.Skip(err)
	}
	words := strings.Split(string(out), "\x00")
	return words[:len(words)-1]
}
