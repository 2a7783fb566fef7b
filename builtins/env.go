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
	"github.com/gotrace/gotrace/runtime/value"
)

// ErrGivenUp is the error of a Handle that stopped its work because Env.Outside
// was done.
var ErrGivenUp = errors.New("given up: the session was ended")

// Env is what Handle and Format may use of a session.
type Env interface {
	// Out takes results, Err takes errors and warnings for the user.
	Out() output.Sink
	Err() io.Writer
	Settings() *object.Settings
	// Decoder returns the decoder of the values in records.
	Decoder() *decode.Decoder
	// Warn reports a problem with an event; --no-warnings silences it. Fail reports
	// the failure of something outside of the session. Both may be called often.
	Warn(s source.Span, format string, args ...any)
	Fail(format string, args ...any)

	// Maps acts on the script's maps, Symbols names addresses, Names names numbers.
	Maps() Maps
	Symbols() Symbols
	Names() Names
	// BootToWall returns the wall-clock time of a boot-clock timestamp in ns.
	BootToWall(ns uint64) time.Time

	// Exit ends the session with a status.
	Exit(code int)
	// Unwatch detaches the watchpoint probes at an address.
	Unwatch(addr uint64) error
	// Outside is done when the user has ended the session. A Handle that acts outside
	// of the session then stops and returns ErrGivenUp.
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
	// User and Kernel return the name of the function or variable that contains an
	// address, or the address in hexadecimal.
	User(pid int, addr uint64) string
	Kernel(addr uint64) string
	// Frames returns the frames at the addresses of a stack. pid is 0 for kernel
	// stacks. In mode raw the frames have no names.
	Frames(pid int, addrs []uint64, mode string) []value.Frame
	// Stack reads the frames of a stack by its id. It returns nil if the stack is gone.
	Stack(depth int, id int64) []uint64
}

// Names translates numbers of the system to names. It caches what it reads.
type Names interface {
	// Cgroup returns the path of a cgroup, with a filter in the hierarchies that match.
	Cgroup(id uint64, filter string) string
	User(uid uint32) string
	// Container, Pod and Unit return what the cgroup with an ID belongs to, or "-".
	Container(id uint64) string
	Pod(id uint64) string
	Unit(id uint64) string
}
