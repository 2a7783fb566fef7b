package runtime

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/runtime/object"
)

// TestAllowFiles checks that a script with more probes than this process can have open
// files raises the limit or, where that is forbidden, is refused before it is loaded.
func TestAllowFiles(t *testing.T) {
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if old.Max > 1<<20 {
		t.Skipf("this process may have %d open files", old.Max)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &old)
	few := &object.Object{Programs: make([]*object.Program, 1)}
	few.Programs[0] = &object.Program{Points: make([]object.Point, 5)}
	if err := allowFiles(few); err != nil {
		t.Error(err)
	}
	many := &object.Object{}
	for range old.Max {
		many.Programs = append(many.Programs, few.Programs[0])
	}
	err := allowFiles(many)
	var now unix.Rlimit
	if e := unix.Getrlimit(unix.RLIMIT_NOFILE, &now); e != nil {
		t.Fatal(e)
	}
	switch _, open := filesOf(many); {
	case err == nil && now.Cur < open:
		t.Errorf("the limit is %d, and the script needs %d", now.Cur, open)
	case err != nil && !strings.Contains(err.Error(), "the script cannot be loaded: its probes and maps need about "):
		t.Error(err)
	}
}
