package builtins

import (
	"syscall"
	"unicode"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

// errorText returns the C library's text of an error number. Go's texts differ in
// the case of the first letter and in the gaps.
func errorText(n syscall.Errno) string {
	switch n {
	case 41, 58: // never assigned
		return "Unknown error"
	case maxErrno:
		return "Memory page has hardware error"
	}
	s := []rune(n.Error())
	s[0] = unicode.ToUpper(s[0])
	return string(s)
}

// textTable turns a number into a text with a table in read-only memory. It has a
// row for each number, and a last row for all other numbers.
type textTable struct {
	rows []string
	row  int // bytes a row, NUL included
}

func newTextTable(rows []string) textTable {
	t := textTable{rows: rows}
	for _, s := range rows {
		t.row = max(t.row, len(s)+1)
	}
	t.row = (t.row + 7) / 8 * 8
	return t
}

func (t textTable) bytes() []byte {
	data := make([]byte, t.row*len(t.rows))
	for i, s := range t.rows {
		copy(data[i*t.row:], s)
	}
	return data
}

// store copies the row of number n.
func (t textTable) store(g Gen, n *ir.Value, dst Dest) {
	table := g.Rodata(t.bytes())
	b := g.B()
	last := int64(len(t.rows) - 1)
	n = g.B().IfElse(b.Op(ir.OpULt, n, b.Const(last)), func() *ir.Value { return n }, func() *ir.Value { return g.B().Const(last) })
	b = g.B()
	b.Copy(dst.Ptr, dst.Off, b.Op(ir.OpAdd, table, b.Op(ir.OpMul, n, b.Const(int64(t.row)))), t.row)
	padTail(g, dst, t.row)
}

// numberName returns a function from a number to a text.
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

// maxErrno is EHWPOISON, the highest the C library knows.
const maxErrno = 133
