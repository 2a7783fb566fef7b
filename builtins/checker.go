package builtins

import (
	"github.com/gotrace/gotrace/lang/config"
	"github.com/gotrace/gotrace/lang/pattern"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
)

// Facts are the facts that both a builtin's type rule and its code may depend on.
type Facts interface {
	Kernel() probes.Kernel
	Invocation() *Invocation
	// Context returns the probe's context; nil inside fn.
	Context() *probes.Context
}

// Checker is what type rules use to get information and to report errors.
type Checker interface {
	Facts
	Reporter
	Places

	Config() *config.Config
	// Final reports whether types have settled. Only then errors count, and a missing
	// type is an error.
	Final() bool
	// StackLens reports whether the program stores stacks with their lengths. It does
	// so if any call has passed true for need.
	StackLens(need bool) bool
	// Patterns returns the automata of the script so far.
	Patterns() *pattern.Cache
	// Number parses an integer from the command line, in any form that a script
	// can use.
	Number(text string) (*Lit, bool)
}

// Reporter reports errors and warnings at places in the script.
type Reporter interface {
	Errorf(s source.Span, format string, args ...any)
	ErrorHint(s source.Span, hint, format string, args ...any)
	Warnf(s source.Span, format string, args ...any)
}

// Places are the attach points of the program, and requests for programs of their own.
type Places interface {
	// Points returns the attach points of the program. It is nil inside fn.
	Points() []*probes.Point
	// NeedsPoint requests a separate program for each attach point, and returns the point.
	// It returns nil inside fn, and while several points still share the program.
	NeedsPoint() *probes.Point
	// NeedsShape requests a separate program for each Load.Shape of the points.
	NeedsShape()
}
