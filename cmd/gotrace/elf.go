package main

import "github.com/gotrace/gotrace/codegen"

func (a *app) emitELF(obj *codegen.Object) int { a.report.errorf("no ELF yet"); return statusError }
