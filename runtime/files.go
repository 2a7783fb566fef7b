package runtime

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/object"
)

// filesOf returns the number of files that the programs and maps of an object need while
// they are loaded, and the approximate number that its session has open. A session has one
// for each map and each attach point, two for each program (itself and its BTF), and others.
func filesOf(o *object.Object) (loaded, open uint64) {
	loaded = uint64(len(o.Kernel) + 2*len(o.Programs))
	open = loaded + 256
	for _, p := range o.Programs {
		open += uint64(len(p.Points))
	}
	return loaded, open
}

// allowFiles raises the limit of open files to what an object needs, if this process may.
// If it may not, it returns an error if the object cannot be loaded within the limit.
func allowFiles(o *object.Object) error {
	loaded, open := filesOf(o)
	var old unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &old) != nil || old.Cur >= open {
		return nil
	}
	limit := unix.Rlimit{Cur: open, Max: max(old.Max, open)}
	if unix.Setrlimit(unix.RLIMIT_NOFILE, &limit) == nil || old.Cur >= loaded {
		return nil
	}
	return fewFiles(o, source.Span{}, "the script cannot be loaded")
}

// fewFiles returns the error for too many open files.
func fewFiles(o *object.Object, at source.Span, what string) error {
	_, open := filesOf(o)
	var limit unix.Rlimit
	_ = unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	return source.DiagError{{Span: at, Hint: "ulimit -n raises the limit",
		Msg: fmt.Sprintf("%s: its probes and maps need about %d open files, and this process may have %d", what, open, limit.Cur)}}
}
