package builtins

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes/binary"
	"github.com/gotrace/gotrace/runtime/decode"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/unwind"
	"github.com/gotrace/gotrace/runtime/value"
)

// ErrGivenUp is the error of a Handle that stopped because Env.Outside was done.
var ErrGivenUp = errors.New("given up: the session was ended")

// Env is the part of a session that Handle and Format use.
type Env interface {
	// Out returns the sink for results, Err the writer for errors and warnings.
	Out() output.Sink
	Err() io.Writer
	Settings() *object.Settings
	// Decoder returns the decoder of the values in records.
	Decoder() *decode.Decoder
	// Warn reports a problem with an event, unless --no-warnings is given. Fail reports
	// the failure of something outside of the session. Both may be called often.
	Warn(s source.Span, format string, args ...any)
	Fail(format string, args ...any)

	// Maps, Symbols and Names return the parts of the session that act on maps, look up
	// symbols, and translate numbers to names.
	Maps() Maps
	Symbols() Symbols
	Names() Names
	// Packet writes a packet to the file of --pcap.
	Packet(p output.Packet)
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

// Maps acts on the script's maps by their names.
type Maps interface {
	// Print prints the top entries of a map with the greatest values, or all of them if
	// top is 0. Values are divided by div.
	Print(name string, top, div int64) error
	Clear(name string) error
	Zero(name string) error
}

// Symbols looks up the symbols at addresses of the kernel and of processes.
type Symbols interface {
	// User and Kernel return the name of the function or variable that contains an
	// address, or the address in hexadecimal.
	User(pid int, addr uint64) string
	Kernel(addr uint64) string
	// GoValue returns the text of a value of a Go program.
	GoValue(pid int, v binary.GoValue) string
	// Frames returns the frames at the addresses of a stack. pid is 0 for kernel
	// stacks. In mode raw the frames have no names.
	Frames(pid int, addrs []uint64, mode string) []value.Frame
	// Stack returns the frames of a stack by its id, or nil if the stack no longer
	// exists. why is the reason why the frames end.
	Stack(depth int, id int64) (frames []uint64, why unwind.Why)
}

// Names translates the system's numbers to names. It caches them.
type Names interface {
	// Cgroup returns the path of a cgroup in the hierarchies that match filter; ""
	// matches all.
	Cgroup(id uint64, filter string) string
	User(uid uint32) string
	// CommandLine returns the command line of the process with an ID that started at a
	// time, in hundredths of a second since boot.
	CommandLine(pid, start uint32) string
	// Container, Pod and Unit return the container, pod and unit of the cgroup with an
	// ID, or "-".
	Container(id uint64) string
	Pod(id uint64) string
	Unit(id uint64) string
}
