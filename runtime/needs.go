package runtime

import (
	"errors"

	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/outline"
)

// Unmet returns why an object cannot be loaded on this machine: the first difference
// from the machine that it was compiled for. It returns nil if there is none. k is the
// running kernel.
func Unmet(o *object.Object, k *kernel.Kernel) error {
	n := &o.Needs
	switch id := k.Identity(); {
	case n.OnlyNow != "":
		return outline.Errorf("it depends on %s", n.OnlyNow)
	case n.Kernel == "" || id != n.Kernel:
		return errors.New("it was compiled for another kernel")
	case n.Arch != k.Arch() || n.CPUs != k.NumCPU():
		return errors.New("it was compiled for another machine")
	case n.Boot != "" && n.Boot != k.Boot():
		return errors.New("the kernel was booted since")
	case n.Modules != "" && n.Modules != k.ModuleSet():
		return errors.New("other modules are loaded")
	}
	for _, t := range n.Targets {
		if probes.FindTarget(t.Name) != t.Path {
			return outline.Errorf("%s is not %s", t.Name, t.Path)
		}
	}
	for _, f := range n.Files {
		if !f.Same() {
			return outline.Errorf("%s has changed", f.Path)
		}
	}
	for _, t := range n.Tracepoints {
		digest, err := k.TracepointDigest(t.Category, t.Event)
		if err != nil {
			return err
		}
		if digest != t.Format {
			return outline.Errorf("tracepoint %s:%s has changed", t.Category, t.Event)
		}
	}
	return nil
}
