package builtins

import (
	"github.com/gotrace/gotrace/lang/config"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
)

// Facts are what both a builtin's type rule and its code may depend on.
type Facts interface {
	Kernel() probes.Kernel
	Config() *config.Config
	Invocation() *Invocation
	// Context returns the probe's context; nil inside fn.
	Context() *probes.Context
}

// Checker answers the questions of type rules and takes their errors.
type Checker interface {
	Facts

	Errorf(s source.Span, format string, args ...any)
	ErrorHint(s source.Span, hint, format string, args ...any)
	Warnf(s source.Span, format string, args ...any)
	// Unstable reports the use of a feature that may change, if the configuration
	// says so. It returns false if the feature may not be used.
	Unstable(feature string, s source.Span) bool
	// Final reports whether types have settled. Errors count only then, and a type
	// still missing is one.
	Final() bool
	// Point returns the attach point. It is nil inside fn, and as long as several
	// points share the program.
	Point() *probes.Point
	// Points returns the attach points of the program, nil inside fn.
	Points() []*probes.Point
	// Constant reports whether the result has to be known when compiling.
	Constant() bool
	// NeedsPoint requests a separate program for each attach point.
	NeedsPoint()
	// NeedsShape requests a separate program for each Load.Shape of the points.
	NeedsShape()
	// StackLens reports whether the program stores stacks with their lengths. It
	// does if any call has passed true for need.
	StackLens(need bool) bool
	// UseKey notes that the call uses a map with a key of that type.
	UseKey(m *MapInfo, key *types.Type, s source.Span)
	// DeclareVar sets the type of the variable of a VarArg.
	DeclareVar(a *Arg, t *types.Type)
	// Number parses an integer from the command line, in any form that a script
	// can use.
	Number(text string) (*Lit, bool)
}
