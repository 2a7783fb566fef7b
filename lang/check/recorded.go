package check

import (
	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/probes"
)

// recorded reports a call that cannot be recorded with --recorder, because the data that
// it shows is not in its event.
func (c *checker) recorded(call *builtins.Call) {
	if c.sess.Recorder == 0 || call.Def.ShowsNow == nil || !call.Def.ShowsNow(call) {
		return
	}
	if ctx := c.Context(); ctx != nil && (ctx.Kind.Runs == probes.AtBegin || ctx.Kind.Runs == probes.AtEnd) {
		return
	}
	c.errorHint(call.Span, "--recorder keeps events and prints all maps at the end: leave it out, or print the values themselves with printf; begin and end probes can call it",
		"%s() cannot be recorded: it shows what gotrace finds when it prints the event", call.Def.Name)
}
