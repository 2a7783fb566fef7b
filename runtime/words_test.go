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
		got := splitWords(line)
		want := shellWords(t, line)
		if !slices.Equal(got, want) {
			t.Errorf("%q: %q, the shell says %q", line, got, want)
		}
	}
}

// TestOpenQuotes checks lines that a shell does not take for complete.
func TestOpenQuotes(t *testing.T) {
	for line, want := range map[string][]string{
		`'`: {`'`}, `"`: {`"`}, `a 'b`: {`a`, `'b`}, `a "b'`: {`a`, `"b'`}, `\`: {`\`}, `a\`: {`a\`}, `"\"`: {`""`},
		`echo don't stop`: {`echo`, `don't`, `stop`}, `it's "a  b" isn't`: {`its "a  b" isnt`}, `'a' 'b`: {`a`, `'b`},
		`"a\`: {`"a\`}, `a \`: {`a`, `\`},
	} {
		if got := splitWords(line); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", line, got, want)
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
