package builtins

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/decode"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/output"
)

// ErrGivenUp is the error of a Handle that ended its work because Env.Outside was
// done.
var ErrGivenUp = errors.New("given up: the session was ended")

// Env is what Handle and Format may use of a session.
type Env interface {
	// Out is where results go, Err where errors and warnings for the user go.
	Out() output.Sink
	Err() io.Writer
	Settings() *object.Settings
	// Decoder decodes the values of records.
	Decoder() *decode.Decoder
	// Warn reports a problem of an event; it is silenced with other warnings. Fail
	// reports that something outside is not as the script wants it. Both may be
	// called often.
	Warn(s source.Span, format string, args ...any)
	Fail(format string, args ...any)

	// Maps acts on the script's maps, Symbols names addresses, Names names numbers.
	Maps() Maps
	Symbols() Symbols
	Names() Names
	// BootToWall is the wall-clock time of a boot-clock timestamp in ns.
	BootToWall(ns uint64) time.Time

	// Exit ends the session with a status.
	Exit(code int)
	// Unwatch detaches the watchpoint probes at an address.
	Unwatch(addr uint64) error
	// Outside is done when what a builtin does outside of the session is to be
	// given up, because the user has ended it. Its Handle then returns ErrGivenUp.
	Outside() context.Context
}

// Maps acts on maps by their names.
type Maps interface {
	// Print prints a map: its top largest entries (0: all), values divided by div.
	Print(name string, top, div int64) error
	Clear(name string) error
	Zero(name string) error
}

// Symbols names addresses of the kernel and of processes.
type Symbols interface {
	// User and Kernel return the function or variable that an address lies in, or
	// the address in hexadecimal.
	User(pid int, addr uint64) string
	Kernel(addr uint64) string
	// Frames returns the texts of a stack's frames in a mode (bpftrace, perf, raw).
	// pid is 0 for kernel stacks.
	Frames(pid int, addrs []uint64, mode string) []string
	// Stack reads the frames of a stack by its id; nil if it is gone.
	Stack(depth int, id int64) []uint64
}

// Names names numbers of the system. What was read once is kept.
type Names interface {
	// Cgroup is the path of a cgroup; with a filter, in the hierarchies that match.
	Cgroup(id uint64, filter string) string
	User(uid uint32) string
}
