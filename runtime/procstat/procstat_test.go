package procstat

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestParse checks lines with all kinds of names, and lines that are cut off.
func TestParse(t *testing.T) {
	const rest = " S 41 42 43 34816 42 4194304 1 2 3 4 5 6 7 8 20 0 1 0 4711 99 1"
	for _, name := range []string{"sh", "", "a b", "(sd-pam)", "a) R 7 8", "a\n(b", ") S 1 2", "é\xff"} {
		s, ok := parse("40 (" + name + ")" + rest + "\n")
		if !ok {
			t.Errorf("%q is not accepted", name)
			continue
		}
		got := fmt.Sprint(s.Text(State), s.Int(Parent), s.Int(Group), s.Int(Session), s.Int(TTY), s.Text(Start))
		if want := "S41 42 43 348164711"; s.Comm != name || got != want {
			t.Errorf("%q: got %q and %s, want %s", name, s.Comm, got, want)
		}
	}
	line := "40 (sh)" + rest
	fields := strings.LastIndex(line, " 99")
	for n := range len(line) {
		if _, ok := parse(line[:n]); ok != (n > strings.LastIndex(line[:fields], " ")+1) {
			t.Errorf("%q: accepted is %t", line[:n], ok)
		}
	}
	for _, line := range []string{"", ")", ")(", "40 sh S 1", "40 )sh("} {
		if _, ok := parse(line); ok {
			t.Errorf("%q is accepted", line)
		}
	}
}

// TestRead reads the line of this process, and one that does not exist.
func TestRead(t *testing.T) {
	s, ok := Read("/proc/self")
	if !ok || s.Int(Parent) != int64(os.Getppid()) || s.Int(Start) == 0 {
		t.Errorf("%v, accepted is %t", s, ok)
	}
	if _, ok := Read(t.TempDir()); ok {
		t.Error("a directory without the file is accepted")
	}
}
