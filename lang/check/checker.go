package check

import (
	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/config"
	"github.com/gotrace/gotrace/lang/pattern"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
)

// The type rules of builtins see the checker as a builtins.Checker. Calls and their
// arguments have what concerns only one call, see argsUsed.
var _ builtins.Checker = (*checker)(nil)

func (c *checker) Errorf(s source.Span, format string, args ...any) { c.errorf(s, format, args...) }

func (c *checker) ErrorHint(s source.Span, hint, format string, args ...any) {
	c.errorHint(s, hint, format, args...)
}

func (c *checker) Warnf(s source.Span, format string, args ...any) { c.warnf(s, format, args...) }

func (c *checker) Kernel() probes.Kernel { return c.env.Kernel }

func (c *checker) Config() *config.Config { return c.cfg }

func (c *checker) Context() *probes.Context {
	ctx := c.context()
	c.asked = c.asked || ctx == nil
	return ctx
}

// context returns the context that the current block can read. It returns nil in a
// function that no block calls, and in a block with invalid attach points.
//
//go:noinline
func (c *checker) context() *probes.Context {
	if c.variant == nil || c.variant.prog == nil {
		return nil
	}
	return c.variant.prog.Ctx
}

func (c *checker) Points() []*probes.Point {
	if c.Context() == nil {
		return nil
	}
	return c.variant.prog.Points
}

func (c *checker) Final() bool { return c.final }

func (c *checker) Patterns() *pattern.Cache { return &c.patterns }

func (c *checker) StackLens(need bool) bool {
	if need && !c.stackLens {
		c.stackLens, c.changed = true, true
	}
	return c.stackLens
}

func (c *checker) NeedsPoint() *probes.Point {
	if c.variant != nil {
		c.variant.named = true
	}
	if c.Context() == nil {
		return nil
	}
	return c.variant.prog.Point
}

func (c *checker) NeedsShape() {
	if c.variant != nil {
		c.variant.shaped = true
	}
}

func (c *checker) Invocation() *builtins.Invocation { return c.sess }

func (c *checker) Number(text string) (*builtins.Lit, bool) { return parseParam(text) }
