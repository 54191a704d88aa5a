package node

import (
	"net/url"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
)

// query reads the options of a subresource from a URL, as the API's other options are read. The first error is kept.
type query struct {
	values url.Values
	err    error
}

// read converts the values of a parameter, if there are any.
func read[T any](q *query, name string, into *T, convert func(*[]string, *T, conversion.Scope) error) {
	if v, ok := q.values[name]; ok && len(v) > 0 && q.err == nil {
		if err := convert(&v, into, nil); err != nil {
			q.err = apierrors.NewBadRequest(err.Error())
		}
	}
}

func logOptions(v url.Values) (*corev1.PodLogOptions, error) {
	q, o := &query{values: v}, &corev1.PodLogOptions{}
	read(q, "container", &o.Container, runtime.Convert_Slice_string_To_string)
	read(q, "follow", &o.Follow, runtime.Convert_Slice_string_To_bool)
	read(q, "previous", &o.Previous, runtime.Convert_Slice_string_To_bool)
	read(q, "sinceSeconds", &o.SinceSeconds, runtime.Convert_Slice_string_To_Pointer_int64)
	read(q, "sinceTime", &o.SinceTime, metav1.Convert_Slice_string_To_Pointer_v1_Time)
	read(q, "timestamps", &o.Timestamps, runtime.Convert_Slice_string_To_bool)
	read(q, "tailLines", &o.TailLines, runtime.Convert_Slice_string_To_Pointer_int64)
	read(q, "limitBytes", &o.LimitBytes, runtime.Convert_Slice_string_To_Pointer_int64)
	if v.Has("stream") {
		o.Stream = new(string)
		read(q, "stream", o.Stream, runtime.Convert_Slice_string_To_string)
	}
	read(q, "insecureSkipTLSVerifyBackend", &o.InsecureSkipTLSVerifyBackend, runtime.Convert_Slice_string_To_bool)
	return o, q.err
}

// terminalOptions are those of exec and attach alike.
func terminalOptions(v url.Values) (container string, s streams, err error) {
	q := &query{values: v}
	read(q, "container", &container, runtime.Convert_Slice_string_To_string)
	read(q, "stdin", &s.in, runtime.Convert_Slice_string_To_bool)
	read(q, "stdout", &s.out, runtime.Convert_Slice_string_To_bool)
	read(q, "stderr", &s.err, runtime.Convert_Slice_string_To_bool)
	read(q, "tty", &s.tty, runtime.Convert_Slice_string_To_bool)
	return container, s, q.err
}

func forwardPorts(v url.Values) ([]int32, error) {
	q := &query{values: v}
	var ports []int32
	read(q, "ports", &ports, metav1.Convert_Slice_string_To_Slice_int32)
	return ports, q.err
}
