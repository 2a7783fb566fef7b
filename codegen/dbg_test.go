package codegen_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
)

func TestDbg(t *testing.T) {
	src := os.Getenv("SRC")
	if src == "" {
		t.Skip()
	}
	var k probes.Kernel = kernel.Live()
	if p := os.Getenv("FROZEN"); p != "" {
		k, _ = kernel.Frozen(p)
	}
	obj, d := compile(t, k, src, func(stage, text string) {
		if s := os.Getenv("STAGE"); s == "" || s == stage {
			fmt.Println("=====", stage)
			fmt.Println(text)
		}
	})
	for _, x := range d.All() {
		fmt.Print(x.Render())
	}
	if obj != nil && os.Getenv("LOAD") != "" {
		if err := load(obj); err != nil {
			t.Fatal(err)
		}
	}
}
