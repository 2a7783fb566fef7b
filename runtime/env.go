package runtime

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes/binary"
	"github.com/gotrace/gotrace/runtime/decode"
	"github.com/gotrace/gotrace/runtime/native"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/store"
	"github.com/gotrace/gotrace/runtime/unwind"
	"github.com/gotrace/gotrace/runtime/value"
)

// env is the part of a session that builtins see.
type env struct {
	s     *Instance
	clock *wallClock
	names names
	bugs  map[string]bool

	decoder *decode.Decoder
}

func newEnv(s *Instance) *env {
	e := &env{s: s, names: names{proc: s.procRoot()}, bugs: map[string]bool{}}
	e.decoder = s.defs.Decoder(e)
	return e
}

func (e *env) Out() output.Sink           { return e.s.opt.Sink }
func (e *env) Err() io.Writer             { return e.s.opt.Stderr }
func (e *env) Settings() *object.Settings { return &e.s.obj.Settings }
func (e *env) Decoder() *decode.Decoder   { return e.decoder }
func (e *env) Maps() builtins.Maps        { return mapActions{e.s} }
func (e *env) Symbols() builtins.Symbols  { return symbolizer{e.s} }
func (e *env) Names() builtins.Names      { return &e.names }

// symbolizer implements builtins.Symbols.
type symbolizer struct{ s *Instance }

// User returns the name of the function that contains an address of a process, or
// the address.
func (e symbolizer) User(pid int, addr uint64) string {
	f := e.userFrames(pid, []uint64{addr})[0]
	text := []byte(cmp.Or(e.s.at.FunctionName(f.Name, f.InFile), f.Name))
	if f.Name == "" {
		text = []byte(hexAddr(addr))
	}
	if !e.s.obj.Settings.ShowDebugInfo {
		return string(text)
	}
	if f.Inlined {
		text = append([]byte("[inlined] "), text...)
	}
	return string(value.AppendSource(text, &f))
}

// userFrames finds the functions of a process's stack. It first reads the log of
// mappings: if the process has executed another program, the old program's symbols
// would be used otherwise.
func (e symbolizer) userFrames(pid int, addrs []uint64) []value.Frame {
	e.s.noteMappings()
	return e.s.syms.Stack(pid, addrs)
}

// GoValue returns the text of a value of a Go program.
func (e symbolizer) GoValue(pid int, v binary.GoValue) string {
	e.s.noteMappings()
	return e.s.syms.GoValue(pid, v)
}

// Kernel returns the name of the kernel function or object that contains an
// address, or the address.
func (e symbolizer) Kernel(addr uint64) string {
	e.s.notePrograms()
	if name, _, offset, ok := e.s.kernelSymbol(addr); ok {
		// If a probe is attached to one of several functions with the same name, the name
		// shows which one it is.
		return cmp.Or(e.s.at.FunctionName("", addr-offset), name)
	}
	return hexAddr(addr)
}

func hexAddr(addr uint64) string {
	if addr == 0 {
		return "0"
	}
	return "0x" + strconv.FormatUint(addr, 16)
}

// Frames implements builtins.Symbols.
func (e symbolizer) Frames(pid int, addrs []uint64, mode string) []value.Frame {
	raw := mode == "raw" && !e.s.opt.Profiles
	if pid != 0 && !raw {
		return e.userFrames(pid, addrs)
	}
	if !raw {
		e.s.notePrograms()
	}
	debug := !raw && (e.s.obj.Settings.ShowDebugInfo || e.s.opt.Profiles)
	out := make([]value.Frame, 0, len(addrs))
	for i, a := range addrs {
		f := value.Frame{Addr: a}
		if !raw {
			f.Name, f.Module, f.Offset, _ = e.s.kernelSymbol(a)
		}
		if debug {
			out = append(out, e.s.kernelLines().frames(f, i > 0)...)
			continue
		}
		out = append(out, f)
	}
	return out
}

// Stack implements builtins.Symbols.
func (e symbolizer) Stack(depth int, id int64) (frames []uint64, why unwind.Why) {
	m, head := e.s.maps[object.StackMap(depth)], 0
	if id >= object.FirstMoreStack {
		m, head = e.s.maps[object.MoreStacks(depth)], object.StackFrames
	}
	if m == nil || id < 0 {
		return nil, unwind.Complete
	}
	var key [4]byte
	native.PutUint(key[:], uint64(uint32(id)))
	data := make([]byte, m.ValueSize())
	if store.LookupElem(m, key[:], data) != nil {
		return nil, unwind.Complete
	}
	if head > 0 {
		why = unwind.Why(native.Uint(data[object.StackEnd:][:8]))
	}
	data = data[head:]
	for ; len(data) >= 8; data = data[8:] {
		a := native.Uint(data[:8])
		if a == 0 {
			break
		}
		frames = append(frames, a)
	}
	return frames, why
}

// Outside implements builtins.Env. The context is done when the user ends the
// session, except for records of end probes, which are always handled in full.
func (e *env) Outside() context.Context {
	if e.s.last {
		return context.Background()
	}
	return e.s.cut
}

func (e *env) wall() *wallClock {
	if e.clock == nil {
		c := newWallClock()
		e.clock = &c
	}
	return e.clock
}

// Packet implements builtins.Env.
func (e *env) Packet(p output.Packet) {
	if e.s.opt.Packet != nil {
		e.s.opt.Packet(p)
	}
}

func (e *env) BootToWall(ns uint64) time.Time { return e.wall().fromBoot(ns) }

// mapActions implements builtins.Maps.
type mapActions struct{ s *Instance }

func (e mapActions) Print(name string, top, div int64) error {
	m, err := e.s.mapByName(name)
	if err != nil {
		return err
	}
	return e.s.printMap(m, top, div, true)
}

func (e mapActions) Clear(name string) error {
	m, err := e.s.mapByName(name)
	if err != nil {
		return err
	}
	return e.s.resetting(m, e.s.readers[m].Clear)
}

func (e mapActions) Zero(name string) error {
	m, err := e.s.mapByName(name)
	if err != nil {
		return err
	}
	return e.s.resetting(m, e.s.readers[m].Zero)
}

// Exit implements builtins.Env. Records after this one are dropped. A running iterator
// still runs to its end, and its records are handled: they are parts of one event.
func (e *env) Exit(code int) {
	s := e.s
	if s.exiting || s.exitAfter.Load() {
		return
	}
	s.status = code
	if !s.hasWalkers {
		s.exiting = true
		return
	}
	s.exitAfter.Store(true)
	if !s.walking.Load() {
		s.end()
	}
}

// Unwatch implements builtins.Env. It detaches the watchpoints at an address.
func (e *env) Unwatch(addr uint64) error { return e.s.unwatch(addr) }

// Fail implements builtins.Env.
func (e *env) Fail(format string, args ...any) {
	e.s.opt.Sink.Flush()
	fmt.Fprintf(e.Err(), "ERROR: "+format+"\n", args...)
}

// Warn reports a problem with an event on stderr.
func (e *env) Warn(at source.Span, format string, args ...any) {
	if e.s.opt.NoWarnings {
		return
	}
	e.s.opt.Sink.Flush()
	io.WriteString(e.Err(), source.Diag{Span: at, Severity: source.Warning, Msg: fmt.Sprintf(format, args...)}.Render())
}

// warnBug reports a record that no compiled program sends, once for each message.
func (e *env) warnBug(format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	if !e.bugs[msg] {
		e.bugs[msg] = true
		fmt.Fprintf(e.Err(), "BUG: the kernel sent %s\n", msg)
	}
}
