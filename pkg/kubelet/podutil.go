package kubelet

import (
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"bonsai/pkg/kubelet/cri"
)

// allContainers returns a pod's containers of every kind.
func allContainers(pod *corev1.Pod) (out []*corev1.Container) {
	for i := range pod.Spec.InitContainers {
		out = append(out, &pod.Spec.InitContainers[i])
	}
	for i := range pod.Spec.Containers {
		out = append(out, &pod.Spec.Containers[i])
	}
	for i := range pod.Spec.EphemeralContainers {
		c := corev1.Container(pod.Spec.EphemeralContainers[i].EphemeralContainerCommon)
		out = append(out, &c)
	}
	return out
}

// containerOf returns the pod's container of that name, or nil.
func containerOf(pod *corev1.Pod, name string) *corev1.Container {
	for _, c := range allContainers(pod) {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// podIPs are the addresses at which the pod is reached now.
func (k *kubelet) podIPs(pod *corev1.Pod, runtime *cri.Pod) []string {
	if pod.Spec.HostNetwork {
		return k.NodeIPs
	}
	if s := runtime.ReadySandbox(); s != nil {
		return s.IPs
	}
	return podIPsOf(pod)
}

func podIPsOf(pod *corev1.Pod) (out []string) {
	for _, ip := range pod.Status.PodIPs {
		out = append(out, ip.IP)
	}
	return out
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// A termination message is at most this long; taken from the log it is shorter still.
const (
	maxMessage      = 4096
	maxMessageLog   = 2048
	maxMessageLines = 80
)

// readMessages fills in the last words of containers that have ended.
func (w *worker) readMessages(runtime *cri.Pod) {
	for _, c := range runtime.Containers {
		if c.State != cri.Exited {
			continue
		}
		text := readTail(messagePath(c), maxMessage)
		if text == "" && c.ExitCode != 0 && c.TerminationMessagePolicy == string(corev1.TerminationMessageFallbackToLogsOnError) {
			text = logTail(readTail(c.LogPath, 4*maxMessageLog))
		}
		if text != "" {
			c.Message = text
		}
	}
}

// messagePath is where on the node the container's message is, "" if it has none.
func messagePath(c *cri.Container) string {
	for _, m := range c.Mounts {
		if m.ContainerPath == c.TerminationMessagePath && c.TerminationMessagePath != "" {
			return m.HostPath
		}
	}
	return ""
}

// readTail returns the end of a file, "" if there is none.
func readTail(path string, limit int) string {
	if path == "" {
		return ""
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(data[max(0, len(data)-limit):])
}

// logTail returns the last lines of a log without what the runtime wrote before each.
func logTail(log string) string {
	lines := strings.Split(strings.TrimRight(log, "\n"), "\n")
	lines = lines[max(0, len(lines)-maxMessageLines):]
	var out strings.Builder
	for _, l := range lines {
		if parts := strings.SplitN(l, " ", 4); len(parts) == 4 {
			out.WriteString(parts[3] + "\n")
		}
	}
	text := out.String()
	return text[max(0, len(text)-maxMessageLog):]
}
