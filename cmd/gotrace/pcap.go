package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/runtime"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/output"
)

// openPcap creates the file of --pcap, to which the session then writes packets. It
// returns a function that closes it.
func (a *app) openPcap(obj *object.Object, setup *runtime.Setup) (func(), error) {
	name := a.opt.pcap
	if name == "" {
		return func() {}, nil
	}
	captures, ethernet := builtins.Captured(obj)
	if !captures {
		return nil, errors.New("--pcap needs a probe that sees packets, such as xdp:eth0, tc:eth0:ingress or cgroup_skb:egress")
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, fmt.Errorf("--pcap: cannot write %s: %w", name, bare(err))
	}
	w, err := output.NewPcapng(f, builtins.MaxCaptured, ethernet, "gotrace "+version())
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("--pcap: cannot write %s: %w", name, bare(err))
	}
	setup.Packet = w.Packet
	return func() {
		if err := f.Close(); err != nil {
			a.report.errorf("--pcap: cannot write %s: %v", name, bare(err))
		}
	}, nil
}
