package builtins

import (
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
)

// needs reports that what asks for a feature the kernel lacks.
func needs(c Checker, s source.Span, what string, f probes.Feature) {
	k := c.Kernel()
	r := k.Release()
	since := k.Since(f)
	if since == "" {
		c.Errorf(s, "%s needs %s, which this kernel does not have", what, f)
		return
	}
	c.Errorf(s, "%s needs Linux %s (%s), this is %d.%d", what, since, f, r.Major, r.Minor)
}

// needsTask reports a builtin that asks about the current task where there is none.
func needsTask(c Checker, call *Call) bool {
	ctx := c.Context()
	if ctx == nil || ctx.InTask {
		return true
	}
	c.Errorf(call.Span, "%s can not be used in %s probes: they do not run on behalf of a task", call.Def.Name, ctx.Kind.Name)
	return false
}
