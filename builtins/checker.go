package builtins

import (
	"github.com/gotrace/gotrace/lang/config"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
)

// Facts are what both the type rule and the code of a builtin may depend on.
type Facts interface {
	Kernel() probes.Kernel
	Config() *config.Config
	Invocation() *Invocation
	// Context is that of the probe; nil inside fn.
	Context() *probes.Context
}

// Checker is what type rules ask and report to.
type Checker interface {
	Facts

	Errorf(s source.Span, format string, args ...any)
	ErrorHint(s source.Span, hint, format string, args ...any)
	Warnf(s source.Span, format string, args ...any)
	// Unstable reports the use of a feature that may change, as the
	// configuration wants it. If it returns false the feature may not be used.
	Unstable(feature string, s source.Span) bool
	// Final reports whether types have settled: only then do errors count, and is
	// a missing type one.
	Final() bool
	// Point is the attach point; nil inside fn, and as long as several share the
	// program.
	Point() *probes.Point
	// NeedsPoint asks for a program of its own for each attach point.
	NeedsPoint()
	// StackLens reports whether stacks are stored with their lengths. They are in
	// a program where any call has asked for it by need.
	StackLens(need bool) bool
	// UseKey notes that the call uses a map with a key of that type.
	UseKey(m *MapInfo, key *types.Type, s source.Span)
	// DeclareVar gives the variable that is a VarArg a type.
	DeclareVar(a *Arg, t *types.Type)
	// Number reads an integer of the command line, in any form that a script can
	// write one in.
	Number(text string) (*Lit, bool)
}
