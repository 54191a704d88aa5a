// Package cgroup keeps the groups that bound what pods take from the node:
//
//	ROOT/kubepods                        all pods: what the node can give
//	ROOT/kubepods/pod<uid>               a guaranteed pod: it has what it asked for
//	ROOT/kubepods/burstable/pod<uid>     shares together what was asked for, and may take more while it is free
//	ROOT/kubepods/besteffort/pod<uid>    gets what is left
//
// ROOT is the cluster's own, so that several clusters live on one machine. The runtime makes a group for each
// container below the pod's. On cgroup v1, hybrid included, a group is a directory in each controller's hierarchy;
// on v2 there is one hierarchy, in which controllers are switched on from the top down.
//
// Only CPU and memory are set here. Failing to set a value is an error; the runtime sets those of containers.
package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	resourcehelper "k8s.io/component-helpers/resource"
	"k8s.io/kubectl/pkg/util/qos"

	"bonsai/pkg/kubelet/spec"
)

// Tree is the part of the machine's groups that belongs to one kubelet.
type Tree struct {
	root string
	fs   string
	v2   bool
}

// New returns the tree below root, a path from the top of the hierarchies.
func New(root string) *Tree {
	const fs = "/sys/fs/cgroup"
	var s unix.Statfs_t
	v2 := unix.Statfs(fs, &s) == nil && s.Type == unix.CGROUP2_SUPER_MAGIC
	return &Tree{root: filepath.Join("/", root), fs: fs, v2: v2}
}

// limits are what a group gets; a value of 0 is not set, a quota of -1 is none.
type limits struct{ shares, quota, memory int64 }

// Setup makes the groups that pods are in. cpu is in millicores, memory in bytes.
func (t *Tree) Setup(cpu, memory int64) error {
	pods := filepath.Join(t.root, "kubepods")
	for path, l := range map[string]limits{
		t.root:                           {},
		pods:                             {shares: spec.Shares(cpu), memory: memory},
		filepath.Join(pods, "burstable"): {},
		filepath.Join(pods, "besteffort"): {
			shares: spec.Shares(0),
		},
	} {
		if err := t.make(path, l); err != nil {
			return err
		}
	}
	return nil
}

// ShareBurstable gives the burstable pods together the share that they asked for together, in millicores. Left as the
// kernel makes it the group would weigh one CPU, however many pods are in it.
func (t *Tree) ShareBurstable(cpu int64) error {
	return t.make(filepath.Join(t.root, "kubepods", "burstable"), limits{shares: spec.Shares(cpu)})
}

// Class is the class by which the pod's group is chosen.
func Class(pod *corev1.Pod) corev1.PodQOSClass {
	if pod.Status.QOSClass != "" {
		return pod.Status.QOSClass
	}
	return qos.GetPodQOS(pod)
}

// Parent is the pod's group.
func (t *Tree) Parent(pod *corev1.Pod) string {
	dir := map[corev1.PodQOSClass]string{corev1.PodQOSBurstable: "burstable", corev1.PodQOSBestEffort: "besteffort"}[Class(pod)]
	return filepath.Join(t.root, "kubepods", dir, "pod"+string(pod.UID))
}

// MakePod makes the pod's group.
func (t *Tree) MakePod(pod *corev1.Pod) error {
	requests := resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{})
	cpu, memory := spec.PodLimit(pod, corev1.ResourceCPU), spec.PodLimit(pod, corev1.ResourceMemory)
	return t.make(t.Parent(pod), limits{
		shares: spec.Shares(requests.Cpu().MilliValue()), quota: spec.Quota(cpu.MilliValue()), memory: memory.Value(),
	})
}

// RemovePod removes the group of a pod that has ended, wherever it is. A group that the kernel still holds is left
// for the next call.
func (t *Tree) RemovePod(uid types.UID) error {
	var errs []error
	for _, hierarchy := range t.hierarchies() {
		for _, class := range []string{"", "burstable", "besteffort"} {
			dir := filepath.Join(hierarchy, t.root, "kubepods", class, "pod"+string(uid))
			if err := removeTree(dir); err != nil && !os.IsNotExist(err) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// removeTree removes a group and those in it; files in a group are the kernel's and go with it.
func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeTree(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return unix.Rmdir(dir)
}

// hierarchies are the directories that a group may be in.
func (t *Tree) hierarchies() []string {
	if t.v2 {
		return []string{t.fs}
	}
	all, _ := filepath.Glob(filepath.Join(t.fs, "*", "cgroup.procs"))
	for i := range all {
		all[i] = filepath.Dir(all[i])
	}
	return all
}

func (t *Tree) make(path string, l limits) error {
	if t.v2 {
		return t.makeV2(path, l)
	}
	return t.makeV1(path, l)
}

func (t *Tree) makeV1(path string, l limits) error {
	cpu, memory := filepath.Join(t.fs, "cpu", path), filepath.Join(t.fs, "memory", path)
	for _, dir := range []string{cpu, memory} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make cgroup: %w", err)
		}
	}
	return errors.Join(
		set(cpu, "cpu.shares", l.shares),
		setIf(l.quota != 0, cpu, "cpu.cfs_period_us", spec.Period),
		set(cpu, "cpu.cfs_quota_us", l.quota),
		set(memory, "memory.limit_in_bytes", l.memory),
	)
}

func (t *Tree) makeV2(path string, l limits) error {
	dir := filepath.Join(t.fs, path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make cgroup: %w", err)
	}
	if err := t.enable(path); err != nil {
		return err
	}
	quota := "max"
	if l.quota > 0 {
		quota = strconv.FormatInt(l.quota, 10)
	}
	errs := []error{set(dir, "memory.max", l.memory)}
	if l.shares > 0 {
		// The kernel's two scales, 2…262144 shares and 1…10000 weight, laid over each other.
		errs = append(errs, set(dir, "cpu.weight", 1+(l.shares-2)*9999/262142))
	}
	if l.quota != 0 {
		errs = append(errs, write(dir, "cpu.max", fmt.Sprintf("%s %d", quota, spec.Period)))
	}
	return errors.Join(errs...)
}

// enable switches the controllers on for a group: in every group above it.
func (t *Tree) enable(path string) error {
	dir := filepath.Dir(path)
	if dir != "/" {
		if err := t.enable(dir); err != nil {
			return err
		}
	}
	return write(filepath.Join(t.fs, dir), "cgroup.subtree_control", "+cpu +memory +pids")
}

func set(dir, name string, value int64) error { return setIf(value != 0, dir, name, value) }

func setIf(yes bool, dir, name string, value int64) error {
	if !yes {
		return nil
	}
	return write(dir, name, strconv.FormatInt(value, 10))
}

func write(dir, name, value string) error {
	if err := os.WriteFile(filepath.Join(dir, name), []byte(value), 0o644); err != nil {
		return fmt.Errorf("set %s=%s: %w", name, value, err)
	}
	return nil
}
