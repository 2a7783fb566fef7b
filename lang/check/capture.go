package check

import (
	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
)

// capture adds to a program for packets, with --pcap, the call that writes the packet to
// the file. A script that has such calls itself determines the packets.
func (c *checker) capture(u *variant) {
	if !c.sess.Capture || c.explicit() || len(u.prog.Points) == 0 {
		return
	}
	def := c.defs.Capture()
	if def == nil || u.prog.Ctx.Packet == nil {
		return
	}
	if find := u.prog.Ctx.Packet.Find; find != nil {
		// Only some points of such kinds have a packet.
		u.named = true
		if _, err := find(); err != nil {
			return
		}
	}
	call := &builtins.Call{Def: def, Name: def.Name, Span: u.prog.Span}
	call.Type = def.Check(c, call)
	u.prog.Capture = call
}

// explicit reports whether the script writes packets to the file itself.
func (c *checker) explicit() bool {
	found := false
	ast.Inspect(c.prog.Source, func(n ast.Node) bool {
		call, ok := n.(*ast.Call)
		if ok && c.funcs[call.Fn.Text] == nil {
			def := c.builtin(call.Fn.Text)
			found = found || def != nil && def.Captures
		}
		return !found
	})
	return found
}
