package builtins

import (
	"github.com/gotrace/gotrace/lang/config"
	"github.com/gotrace/gotrace/lang/pattern"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
)

// Facts are the facts that both a builtin's type rule and its code may depend on.
type Facts interface {
	Kernel() probes.Kernel
	Config() *config.Config
	Invocation() *Invocation
	// Context returns the probe's context; nil inside fn.
	Context() *probes.Context
}

// Checker is what type rules use to get information and to report errors.
type Checker interface {
	Facts
	Reporter
	Places
	Matcher

	// Final reports whether types have settled. Only then errors count, and a missing
	// type is an error.
	Final() bool
	// Constant reports whether the result must be known at compile time.
	Constant() bool
	// StackLens reports whether the program stores stacks with their lengths. It does
	// so if any call has passed true for need.
	StackLens(need bool) bool
	// UseKey records that the call uses a map with a key of the given type.
	UseKey(m *MapInfo, key *types.Type, s source.Span)
	// DeclareVar sets the type of the variable of a VarArg.
	DeclareVar(a *Arg, t *types.Type)
	// Number parses an integer from the command line, in any form that a script
	// can use.
	Number(text string) (*Lit, bool)
}

// Reporter reports errors and warnings at places in the script.
type Reporter interface {
	Errorf(s source.Span, format string, args ...any)
	ErrorHint(s source.Span, hint, format string, args ...any)
	Warnf(s source.Span, format string, args ...any)
	// Unstable reports the use of a feature that may change, if the configuration
	// requires that. It returns false if the feature may not be used.
	Unstable(feature string, s source.Span) bool
}

// Places are the attach points of the program, and requests for programs of their own.
type Places interface {
	// Point returns the attach point. It is nil inside fn, and while several points
	// share the program.
	Point() *probes.Point
	// Points returns the attach points of the program. It is nil inside fn.
	Points() []*probes.Point
	// NeedsPoint requests a separate program for each attach point.
	NeedsPoint()
	// NeedsShape requests a separate program for each Load.Shape of the points.
	NeedsShape()
}

// Matcher matches text with patterns.
type Matcher interface {
	// Later reports whether user space can decide if the text of the first argument
	// matches one of the patterns. If so, the call has no code.
	Later(call *Call, list []pattern.Pattern) bool
	// Patterns returns the automata of the script so far.
	Patterns() *pattern.Cache
}
