package apiserver

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"bonsai/pkg/apiserver/admission"
	"bonsai/pkg/apiserver/node"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
)

// connect hands the request to whoever dials the kubelet or the service.
func (s *Server) connect(c *call) error {
	if c.t.sub != "log" && c.r.URL.Query().Has("dryRun") {
		return apierrors.NewBadRequest("dryRun is not supported")
	}
	if c.t.verb == "get" && slices.Contains([]string{"exec", "attach", "portforward"}, c.t.sub) {
		// A WebSocket begins with GET whatever it is for; who may only read must not run commands by it.
		if err := s.require(c, "create"); err != nil {
			return err
		}
	}
	if err := s.admitConnect(c); err != nil {
		return err
	}
	if s.cfg.Connect == nil {
		return apierrors.NewServiceUnavailable("this server has no way to reach nodes")
	}
	return s.cfg.Connect.Connect(c.w, c.r, node.Connection{
		Resource: c.t.resource, Subresource: c.t.sub, Namespace: c.t.namespace, Name: c.t.name, Path: c.t.rest})
}

// connectOther passes on OPTIONS, which is no verb of the API but may be one of what is behind a proxy.
func (s *Server) connectOther(c *call) error {
	if c.r.Method != http.MethodOptions {
		return notAllowed()
	}
	return s.connect(c)
}

// admitConnect shows admission what is asked for, as the options that the query stands for, and goes on with what it makes of them.
// To read a log is a get, which admission has no part in.
func (s *Server) admitConnect(c *call) error {
	options := connectOptions(c.t, c.r.URL.Query())
	if options == nil {
		return nil
	}
	asked := options.DeepCopyObject()
	if err := s.admit(c, s.attributes(c, c.t, admission.Connect, c.t.sub, options, nil, writeOptions{})); err != nil {
		return err
	}
	if !equality.Semantic.DeepEqual(asked, options) {
		u := *c.r.URL
		u.RawQuery = connectQuery(c.t, options, u.Query()).Encode()
		c.r.URL = &u
	}
	return nil
}

// connectOptions reads the query.
func connectOptions(t *target, q url.Values) runtime.Object {
	var o runtime.Object
	kind := ""
	switch t.resource + "/" + t.sub {
	case "pods/exec":
		kind, o = "PodExecOptions", &corev1.PodExecOptions{Container: q.Get("container"), Command: q["command"],
			Stdin: isTrue(q["stdin"]), Stdout: isTrue(q["stdout"]), Stderr: isTrue(q["stderr"]), TTY: isTrue(q["tty"])}
	case "pods/attach":
		kind, o = "PodAttachOptions", &corev1.PodAttachOptions{Container: q.Get("container"),
			Stdin: isTrue(q["stdin"]), Stdout: isTrue(q["stdout"]), Stderr: isTrue(q["stderr"]), TTY: isTrue(q["tty"])}
	case "pods/portforward":
		forward := &corev1.PodPortForwardOptions{}
		for _, text := range q["ports"] {
			if port, err := strconv.ParseInt(text, 10, 32); err == nil { // the kubelet's side refuses the others
				forward.Ports = append(forward.Ports, int32(port))
			}
		}
		kind, o = "PodPortForwardOptions", forward
	case "pods/proxy":
		kind, o = "PodProxyOptions", &corev1.PodProxyOptions{Path: t.rest}
	case "services/proxy":
		kind, o = "ServiceProxyOptions", &corev1.ServiceProxyOptions{Path: t.rest}
	case "nodes/proxy":
		kind, o = "NodeProxyOptions", &corev1.NodeProxyOptions{Path: t.rest}
	default:
		return nil
	}
	o.GetObjectKind().SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(kind))
	return o
}

// connectQuery writes options back into the query, or, where they are one, into the path.
func connectQuery(t *target, options runtime.Object, q url.Values) url.Values {
	switch o := options.(type) {
	case *corev1.PodExecOptions:
		setStreams(q, o.Container, o.Stdin, o.Stdout, o.Stderr, o.TTY)
		q["command"] = o.Command
	case *corev1.PodAttachOptions:
		setStreams(q, o.Container, o.Stdin, o.Stdout, o.Stderr, o.TTY)
	case *corev1.PodPortForwardOptions:
		q.Del("ports")
		for _, port := range o.Ports {
			q.Add("ports", strconv.Itoa(int(port)))
		}
	case *corev1.PodProxyOptions:
		t.rest = o.Path
	case *corev1.ServiceProxyOptions:
		t.rest = o.Path
	case *corev1.NodeProxyOptions:
		t.rest = o.Path
	}
	return q
}

func setStreams(q url.Values, container string, stdin, stdout, stderr, tty bool) {
	q.Set("container", container)
	for name, on := range map[string]bool{"stdin": stdin, "stdout": stdout, "stderr": stderr, "tty": tty} {
		q.Set(name, strconv.FormatBool(on))
	}
}
