// Package lower turns a checked script into SSA.
package lower

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/runtime/wire"
)

// Result is what lowering produces beside the module: the tables the runtime
// reads records and maps by.
type Result struct {
	Module *ir.Module
	Maps   []wire.Map
	Events []wire.Event
	Sites  []wire.Site
}
