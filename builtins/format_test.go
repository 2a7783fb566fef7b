package builtins

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/lang/types"
	exe "github.com/gotrace/gotrace/probes/binary"
	"github.com/gotrace/gotrace/runtime/decode"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/unwind"
	"github.com/gotrace/gotrace/runtime/value"
)

// testEnv is an Env without a session.
type testEnv struct {
	Env // methods that no test needs panic
	cfg *object.Settings
	reg *Registry
}

func newTestEnv() *testEnv {
	return &testEnv{cfg: &object.Settings{MaxStrlen: 1024, StrTruncTrailer: ".."}, reg: NewRegistry(All())}
}

func (e *testEnv) Settings() *object.Settings { return e.cfg }
func (e *testEnv) Decoder() *decode.Decoder   { return e.reg.Decoder(e) }
func (e *testEnv) Decode(t *types.Type, data []byte) value.Value {
	return e.Decoder().Value(t, data)
}
func (e *testEnv) Symbols() Symbols { return testSymbols{} }
func (e *testEnv) Names() Names     { return testNames{} }

type testSymbols struct{}

func (testSymbols) Kernel(addr uint64) string        { return fmt.Sprintf("k%x", addr) }
func (testSymbols) User(pid int, addr uint64) string { return fmt.Sprintf("u%d:%x", pid, addr) }
func (testSymbols) GoValue(int, exe.GoValue) string  { return "go" }
func (testSymbols) Stack(depth int, id int64) ([]uint64, unwind.Why) {
	return []uint64{uint64(id), uint64(depth)}, unwind.Why(id % 3)
}
func (testSymbols) Frames(pid int, addrs []uint64, mode string) []value.Frame {
	return []value.Frame{{Name: fmt.Sprint(pid, addrs, mode)}}
}

type testNames struct{}

func (testNames) User(uid uint32) string                 { return fmt.Sprintf("user%d", uid) }
func (testNames) Cgroup(id uint64, filter string) string { return fmt.Sprintf("%s/%d", filter, id) }
func (testNames) CommandLine(pid, start uint32) string   { return fmt.Sprintf("%d/%d", pid, start) }
func (testNames) Container(id uint64) string             { return fmt.Sprintf("container%d", id) }
func (testNames) Pod(id uint64) string                   { return fmt.Sprintf("pod%d", id) }
func (testNames) Unit(id uint64) string                  { return fmt.Sprintf("unit%d", id) }

// scalar returns an integer of type t as a record contains it.
func scalar(t *types.Type, n int64) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(n))
	return b[:t.Size]
}

func str0(s string, size int) []byte {
	b := make([]byte, size)
	copy(b, s)
	return b
}

func TestFormatCheck(t *testing.T) {
	for _, c := range []struct {
		args []Arg
		want string
	}{
		{[]Arg{strLit("%d")}, "not enough arguments for format string (0 supplied, 1 expected)"},
		{[]Arg{strLit("%d"), intLit(1), intLit(2)}, "too many arguments for format string (2 supplied, 1 expected)"},
		{[]Arg{strLit("%q"), intLit(1)}, "unknown conversion %q in the format string"},
		{[]Arg{strLit("a"), intLit(1)}, "too many arguments for format string (1 supplied, 0 expected)"},
		{[]Arg{strLit("%f"), intLit(1)}, "unsupported format specifier: f"},
		{[]Arg{strLit("%d"), strLit("x")}, "unsupported format specifier for type 'string[2]': d"},
		{[]Arg{strLit("%r"), intLit(1)}, "unsupported format specifier for type 'int64': r"},
		{[]Arg{strLit("%x"), argOf(types.NewBuffer(4))}, "unsupported format specifier for type 'buffer[4]': x"},
		{[]Arg{strLit("%s"), argOf(hist().AggType(8, true))}, "unsupported format specifier for type 'hist_t': s"},
		{[]Arg{intLit(1)}, "printf() expects a string literal (int provided)"},
		{[]Arg{argOf(types.NewString(4))}, "printf() expects a string literal (string provided)"},
		{nil, "printf() requires at least one argument (0 provided)"},
		{[]Arg{strLit("%s %d"), argOf(types.TInt8), argOf(types.TBool)}, ""},
		{[]Arg{strLit("%d"), argOf(count().AggType(8, false))}, ""},
	} {
		checkCall(t, printf(), c.args, c.want)
	}
}

// checkCall checks a call. It expects the error want, or none if that is "".
func checkCall(t *testing.T, d *Def, args []Arg, want string) *Call {
	t.Helper()
	c := newTestChecker()
	call := &Call{Def: d, Args: args}
	if d.CheckArity(c, call) && d.CheckParams(c, call) {
		call.Type = d.Check(c, call)
	}
	got := strings.Join(c.messages(), "\n")
	if want != "" {
		want = "ERROR: " + want
	}
	if got != want {
		t.Errorf("%s(%d arguments): %q, want %q", d.Name, len(args), got, want)
	}
	return call
}
