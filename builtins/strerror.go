package builtins

import (
	"syscall"
	"unicode"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/lazy"
)

// errorTexts holds the texts of bpftrace that differ from those of Go. Most are the
// descriptions in the kernel's headers, where Go has the C library's texts.
var errorTexts = lazy.Table[map[syscall.Errno]string]{New: func() map[syscall.Errno]string {
	return map[syscall.Errno]string{
		syscall.EIO:        "I/O error",
		syscall.EBADF:      "Bad file number",
		syscall.EAGAIN:     "Try again (operation would block)",
		syscall.ENOMEM:     "Out of memory",
		syscall.EXDEV:      "Cross-device link",
		syscall.ENFILE:     "File table overflow",
		syscall.ENOTTY:     "Not a typewriter",
		syscall.EDOM:       "Math argument out of domain of func",
		syscall.ERANGE:     "Math result not representable",
		syscall.EDEADLK:    "Resource deadlock would occur",
		syscall.ENOLCK:     "No record locks available",
		syscall.ENOSYS:     "Invalid system call number",
		syscall.ELOOP:      "Too many symbolic links encountered",
		41:                 "Unknown error", // never assigned
		58:                 "Unknown error",
		syscall.EBADMSG:    "Not a data message",
		syscall.EILSEQ:     "Illegal byte sequence",
		syscall.EOPNOTSUPP: "Operation not supported on transport endpoint",
		syscall.ENETRESET:  "Network dropped connection because of reset",
		syscall.EDQUOT:     "Quota exceeded",
		syscall.ECANCELED:  "Operation Canceled",
		maxErrno:           "Memory page has hardware error",
	}
}}

// errorText returns the text of an error number.
func errorText(n syscall.Errno) string {
	if s, ok := errorTexts.Get()[n]; ok {
		return s
	}
	s := []rune(n.Error())
	s[0] = unicode.ToUpper(s[0])
	return string(s)
}

// textTable maps numbers to texts with a table in read-only memory. It has a row for
// each number, and a last row for all other numbers.
type textTable struct {
	rows []string
	row  int // size of a row in bytes, including the NUL
}

func newTextTable(rows []string) textTable {
	t := textTable{rows: rows}
	for _, s := range rows {
		t.row = max(t.row, len(s)+1)
	}
	t.row = types.RoundUp(t.row, 8)
	return t
}

func (t textTable) bytes() []byte {
	data := make([]byte, t.row*len(t.rows))
	for i, s := range t.rows {
		copy(data[i*t.row:], s)
	}
	return data
}

// store copies the row of number n to dst.
func (t textTable) store(g Gen, n *ir.Value, dst Dest) {
	table := g.Rodata(t.bytes())
	b := g.B()
	last := int64(len(t.rows) - 1)
	n = g.B().IfElse(b.Op(ir.OpULt, n, b.Const(last)), func() *ir.Value {
		return g.B().Opaque(n) // so that the verifier knows the bounds
	}, func() *ir.Value { return g.B().Const(last) })
	b = g.B()
	b.Copy(dst.Ptr, dst.Off, b.Op(ir.OpAdd, table, b.Op(ir.OpMul, n, b.Const(int64(t.row)))), t.row)
	padTail(g, dst, t.row)
}

// numberName returns a builtin that maps a number to a text.
//
//go:noinline
func numberName(name, summary, example string, rows func(c Checker) []string, index func(b *ir.Builder, n *ir.Value) *ir.Value) *Def {
	return &Def{
		Name:   name,
		Kind:   Function,
		Params: []Param{{Name: "n"}},
		Doc:    Doc{Summary: summary, Examples: []string{example}},
		Check: func(c Checker, call *Call) *types.Type {
			if !wantInt(c, call, 0) {
				return types.TInvalid
			}
			t := newTextTable(rows(c))
			call.Data = t
			return types.NewString(t.row)
		},
		Store: func(g Gen, call *Call, dst Dest) {
			n := g.Value(&call.Args[0])
			call.Data.(textTable).store(g, index(g.B(), n), dst)
		},
	}
}

func identity(_ *ir.Builder, n *ir.Value) *ir.Value { return n }

func strerror() *Def {
	return numberName("strerror", "The text of an error number, negative or not.",
		`tracepoint:syscalls:sys_exit_openat /args.ret < 0/ { @[strerror(args.ret)] = count(); }`,
		func(Checker) []string {
			rows := []string{"Success"}
			for n := syscall.Errno(1); n <= maxErrno; n++ {
				rows = append(rows, errorText(n))
			}
			return append(rows, "Unknown error")
		},
		func(b *ir.Builder, n *ir.Value) *ir.Value {
			n = b.Extend(n, 4, true)
			sign := b.Op(ir.OpSar, n, b.Const(63))
			return b.Op(ir.OpSub, b.Op(ir.OpXor, n, sign), sign)
		})
}

// maxErrno is EHWPOISON, the highest error number of the C library.
const maxErrno = 133
