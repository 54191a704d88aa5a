package resource

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// firstCells are those of a list of objects of row, in the order of its table.
func firstCells(row *Row, objs ...Object) []any {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	lines := make([]metav1.TableRow, len(objs))
	for i, o := range objs {
		lines[i].Cells = row.Cells(o, now)
	}
	row.Together(objs, lines)
	var first []any
	for _, l := range lines {
		first = append(first, l.Cells[0])
	}
	return first
}

func TestDefaultStorageClass(t *testing.T) {
	class := func(name string, age int, annotations ...string) Object {
		s := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.Unix(int64(1000-age), 0)}}
		for _, a := range annotations {
			metav1.SetMetaDataAnnotation(&s.ObjectMeta, a, "true")
		}
		return s
	}
	const annotation, older = "storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"
	row := storageClasses()
	require.Equal(t, []any{"a", "b"}, firstCells(row, class("a", 1), class("b", 2)))
	require.Equal(t, []any{"a", "b", "c (default)"},
		firstCells(row, class("a", 3, annotation), class("b", 0), class("c", 2, older)), "the newest of them")
	require.Equal(t, []any{"a (default)", "b"}, firstCells(row, class("a", 1, annotation), class("b", 1, annotation)), "the first by its name")
	require.Equal(t, "a", row.Cells(class("a", 1, annotation), time.Now())[0], "alone, it does not know of the others")
}

func TestFlowSchemasAreListedInTheOrderOfMatching(t *testing.T) {
	schema := func(name string, precedence int32) Object {
		return &flowcontrolv1.FlowSchema{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: flowcontrolv1.FlowSchemaSpec{MatchingPrecedence: precedence}}
	}
	require.Equal(t, []any{"exempt", "b", "c", "a"},
		firstCells(flowSchemas(), schema("a", 9000), schema("b", 100), schema("c", 100), schema("exempt", 1)))
}
