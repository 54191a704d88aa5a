package plan

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"bonsai/pkg/kubelet/cri"
)

var update = flag.Bool("update", false, "rewrite the plans in testdata")

// now is the moment of every test; times in testdata are relative to it.
var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// TestPlans reads testdata/*.txt: a pod, what is observed, and the plan that follows.
func TestPlans(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			a, err := txtar.ParseFile(path)
			require.NoError(t, err)
			o := Observed{Pod: readPod(t, section(a, "pod.yaml"))}
			read(t, &o, section(a, "observed"))
			p := Make(o, now)
			got := p.String()
			if !p.Again.IsZero() {
				got += fmt.Sprintf("again in %s\n", p.Again.Sub(now))
			}
			if *update {
				a.Files[len(a.Files)-1] = txtar.File{Name: "plan", Data: []byte(got)}
				require.NoError(t, os.WriteFile(path, txtar.Format(a), 0o644))
			}
			require.Equal(t, section(a, "plan"), got)
		})
	}
}

func section(a *txtar.Archive, name string) string {
	for _, f := range a.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	return ""
}

func readPod(t require.TestingT, text string) *corev1.Pod {
	if text == "" {
		return nil
	}
	pod := &corev1.Pod{}
	require.NoError(t, yaml.UnmarshalStrict([]byte(text), pod))
	pod.Name, pod.Namespace, pod.UID = "p", "default", "u"
	if pod.Spec.RestartPolicy == "" {
		pod.Spec.RestartPolicy = corev1.RestartPolicyAlways
	}
	return pod
}

// read understands one line per thing observed: its kind, its name, then words and key=value.
func read(t *testing.T, o *Observed, text string) {
	o.Runtime, o.Containers = &cri.Pod{UID: "u"}, map[string]Memory{}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		values := map[string]string{}
		for _, w := range f[1:] {
			k, v, _ := strings.Cut(w, "=")
			values[k] = v
		}
		switch f[0] {
		case "sandbox":
			_, ready := values["ready"]
			_, host := values["hostnetwork"]
			s := &cri.Sandbox{ID: f[1], Ready: ready, HostNetwork: host, Attempt: uint32(number(values["attempt"]))}
			if ip := values["ip"]; ip != "" {
				s.IPs = []string{ip}
			}
			o.Runtime.Sandboxes = append(o.Runtime.Sandboxes, s)
		case "run":
			o.Runtime.Containers = append(o.Runtime.Containers, readRun(o, f, values))
		case "kubelet":
			o.Containers[f[1]] = readMemory(values)
		case "end":
			o.End = &End{Reason: strings.ReplaceAll(values["reason"], "_", " "), Grace: duration(values["grace"])}
		case "volumes":
			o.Volumes = "not there"
		case "sandbox-failed":
			o.SandboxRetry = now.Add(duration(values["retry"]))
		default:
			t.Fatalf("testdata: unknown line %q", line)
		}
	}
}

func readRun(o *Observed, f []string, v map[string]string) *cri.Container {
	c := &cri.Container{Name: f[1], ID: f[2], SandboxID: v["in"], ExitCode: int32(number(v["code"])), RestartCount: int32(number(v["restarts"]))}
	for s := cri.Created; s <= cri.Unknown; s++ {
		if _, ok := v[s.String()]; ok {
			c.State = s
		}
	}
	c.FinishedAt = now.Add(-duration(v["ago"]))
	if v["image"] != "" {
		c.Hash = Hash(&corev1.Container{Name: f[1], Image: v["image"]})
	}
	return c
}

func readMemory(v map[string]string) Memory {
	m := Memory{BackOff: duration(v["back-off"]), Image: Image{Ref: v["image"]}}
	_, m.Image.Fetching = v["fetching"]
	failure := &Failure{Reason: v["failed"] + v["image-failed"], Message: "no", Retry: now.Add(duration(v["retry"]))}
	if v["failed"] != "" {
		m.Failure = failure
	}
	if v["image-failed"] != "" {
		m.Image.Failure = failure
	}
	_, started := v["started"]
	m.Probes = Probes{ID: v["probes"], Started: started, Failed: v["unhealthy"]}
	return m
}

func number(s string) int { n, _ := strconv.Atoi(s); return n }

func duration(s string) time.Duration { d, _ := time.ParseDuration(s); return d }

// TestPlansAreSound checks, for any pod in any state, what must never be in a plan.
func TestPlansAreSound(t *testing.T) {
	pod := readPod(t, `
spec:
  initContainers: [{name: i}, {name: s, restartPolicy: Always}]
  containers: [{name: a}, {name: b}]
`)
	rapid.Check(t, func(t *rapid.T) {
		o := anyState(t, pod)
		p := Make(o, now)
		started := map[string]bool{}
		for _, s := range p.Start {
			require.False(t, started[s.Name], "%s is started twice", s.Name)
			started[s.Name] = true
			require.NotEmpty(t, s.ImageRef)
			require.Equal(t, o.Runtime.ReadySandbox().ID, s.SandboxID)
			if run := o.Runtime.Current(s.Name); run != nil {
				require.NotEqual(t, cri.Running, run.State, "%s runs already", s.Name)
			}
		}
		if started["a"] || started["b"] {
			for _, name := range []string{"a", "b"} {
				require.False(t, started["i"], "an init container and %s start together", name)
			}
		}
		if o.End != nil {
			require.Empty(t, p.Start)
			require.Nil(t, p.Sandbox)
			require.Equal(t, !o.Runtime.Alive(), p.Done)
		}
	})
}

func anyState(t *rapid.T, pod *corev1.Pod) Observed {
	o := Observed{Pod: pod, Runtime: &cri.Pod{}, Containers: map[string]Memory{}}
	for i := range rapid.IntRange(0, 2).Draw(t, "sandboxes") {
		o.Runtime.Sandboxes = append(o.Runtime.Sandboxes, &cri.Sandbox{ID: fmt.Sprint("s", i), Ready: rapid.Bool().Draw(t, "ready"), IPs: []string{"10.0.0.1"}})
	}
	for _, name := range []string{"i", "s", "a", "b"} {
		for j := range rapid.IntRange(0, 3).Draw(t, "runs") {
			o.Runtime.Containers = append(o.Runtime.Containers, &cri.Container{
				Name: name, ID: fmt.Sprint(name, j), SandboxID: fmt.Sprint("s", rapid.IntRange(0, 1).Draw(t, "in")),
				State: cri.State(rapid.IntRange(0, 3).Draw(t, "state")), ExitCode: int32(rapid.IntRange(0, 1).Draw(t, "code")), FinishedAt: now,
			})
		}
		o.Containers[name] = Memory{Image: Image{Ref: rapid.SampledFrom([]string{"", "ref"}).Draw(t, "image")}, BackOff: duration(rapid.SampledFrom([]string{"0s", "10s"}).Draw(t, "back-off"))}
	}
	if rapid.Bool().Draw(t, "end") {
		o.End = &End{Reason: "it was deleted"}
	}
	return o
}

func TestNextBackOff(t *testing.T) {
	var got []time.Duration
	for d := time.Duration(0); len(got) < 7; {
		d = NextBackOff(d, time.Second)
		got = append(got, d/time.Second)
	}
	require.Equal(t, []time.Duration{10, 20, 40, 80, 160, 300, 300}, got)
	require.Equal(t, FirstBackOff, NextBackOff(MaxBackOff, 11*time.Minute))
}
