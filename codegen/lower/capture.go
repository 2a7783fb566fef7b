package lower

import (
	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/ast"
)

// With --pcap, a program for packets ends in a block that writes the packet to the file.
// If the script's block contains code that prints, only the packets for which it prints
// are written. Otherwise all packets for which the block runs are written.

// capture is the state of a program that writes packets.
type capture struct {
	call   *builtins.Call
	shown  *ir.Value // address of a word that is 1 if something was printed; nil: not needed
	out    *ir.Block // where the program ends
	result *ir.Var
}

// startCapture is called where the script's block begins.
func (f *fn) startCapture() {
	call := f.prog.Capture
	if call == nil {
		return
	}
	f.capture = &capture{call: call, out: f.b.NewBlock(), result: &ir.Var{Name: "result", Type: ir.Int}}
	if f.cut == nil && f.showsItself(f.prog.Body) {
		f.capture.shown = f.b.Slot(8)
		f.b.Zero(f.capture.shown, 0, 8)
	}
}

// leave ends the script's block with a result.
func (c *capture) leave(f *fn, x *ir.Value) {
	f.b.Write(c.result, x)
	f.b.Jump(c.out)
}

// endCapture emits the end of the program.
func (f *fn) endCapture() {
	c := f.capture
	if c == nil {
		return
	}
	f.capture = nil
	f.b.SealSet(c.out)
	f.writePacket(c)
	f.b.Ret(f.b.Read(c.result))
}

// writePacket emits the code that writes the packet if it should be.
func (f *fn) writePacket(c *capture) {
	defer f.at(f.at(c.call.Span))
	write := func() { c.call.Def.Emit(f, c.call) }
	if c.shown != nil {
		f.b.If(f.b.Load(c.shown, 0, 8, false), write)
	} else {
		write()
	}
}

// shows records that a call prints something.
func (f *fn) shows(call *builtins.Call) {
	if f.capture != nil && f.capture.shown != nil && prints(call) {
		f.b.Store(f.capture.shown, 0, 8, f.b.Const(1))
	}
}

// prints reports whether a call is an action that shows something to the user.
func prints(call *builtins.Call) bool {
	d := call.Def
	return d.Kind == builtins.Action && len(d.Sends) > 0 && !d.Ends
}

// showsItself reports whether a block prints something, and does so only in code of the
// program's main function.
func (f *fn) showsItself(body *ast.Block) bool {
	own, elsewhere := false, false
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.For:
			elsewhere = elsewhere || f.callsBack(n)
		case *ast.Call:
			call := f.info.Calls[n]
			own = own || call != nil && prints(call)
			elsewhere = elsewhere || f.info.FnCalls[n] != nil
		}
		return true
	})
	return own && !elsewhere
}
