package expression

import (
	"fmt"
	"sync"

	"github.com/google/cel-go/cel"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	apicel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"
)

// Sees names the variables that an expression may use besides object, oldObject, request and namespaceObject.
type Sees struct {
	Params, Authorizer bool
	// Patches lets it build what a mutation is made of: Object{…} and JSONPatch{…}.
	Patches bool
}

// The types of results.
var (
	Bool     = []*cel.Type{cel.BoolType}
	Text     = []*cel.Type{cel.StringType}
	MayText  = []*cel.Type{cel.StringType, cel.NullType}
	Anything = []*cel.Type{cel.AnyType, cel.DynType}
	Config   = []*cel.Type{cel.ObjectType("Object")}
	Patch    = []*cel.Type{cel.ListType(cel.ObjectType("JSONPatch"))}
)

// Expression is what there is to compile.
type Expression struct {
	Text    string
	Sees    Sees
	Returns []*cel.Type
	// Stored says that the expression has been accepted before.
	Stored bool
}

// Compiled is what became of an Expression: a Program, or an Error.
type Compiled struct {
	Text    string
	Program cel.Program
	Type    *cel.Type
	Error   *apicel.Error
}

// Compiler compiles expressions that share their variables. It may be used concurrently, unless it is one of variables.
type Compiler struct {
	mu   sync.Mutex
	envs map[Sees]*environment.EnvSet
	// variables is the type of "variables", which grows with each Declare; nil if there is none.
	variables *apicel.DeclType
	// object and params, if not nil, are the types of the variables that can be anything otherwise.
	object, params *apicel.DeclType
}

// plain is the compiler of all expressions that have no variables of their own.
var plain = &Compiler{envs: map[Sees]*environment.EnvSet{}}

// New returns a compiler; if composed, one whose expressions may use the variables that it declares.
func New(composed bool) *Compiler {
	if !composed {
		return plain
	}
	return &Compiler{envs: map[Sees]*environment.EnvSet{}, variables: apicel.NewObjectType(variablesType, map[string]*apicel.DeclField{})}
}

// Typed returns a compiler of variables that knows what the objects and the parameters are, for Check.
func Typed(object, params *apicel.DeclType) *Compiler {
	c := New(true)
	c.object, c.params = object, params
	return c
}

// Check says what is wrong with e by the types of its variables; nothing if it is right. What it returns does not matter.
func (c *Compiler) Check(e Expression) *apicel.Error {
	_, err := c.check(e)
	return err
}

// DeclareChecked is Declare for Check.
func (c *Compiler) DeclareChecked(name string, e Expression) {
	t, _ := c.check(e)
	c.variables.Fields[name] = apicel.NewDeclField(name, declType(t), true, nil, nil)
}

func (c *Compiler) check(e Expression) (*cel.Type, *apicel.Error) {
	env, err := c.environment(e)
	if err != nil {
		return nil, &apicel.Error{Type: apicel.ErrorTypeInternal, Detail: fmt.Sprintf("fail to build env: %v", err)}
	}
	ast, issues := env.Compile(e.Text)
	if issues != nil {
		return nil, &apicel.Error{Type: apicel.ErrorTypeInvalid, Detail: issues.String()}
	}
	return ast.OutputType(), nil
}

// VariablesType is the type of the variable "variables"; nil if the compiler has none.
func (c *Compiler) VariablesType() *apicel.DeclType { return c.variables }

// Declare compiles the value of a variable, which later expressions may use as variables.NAME. One that does not compile has
// any type.
func (c *Compiler) Declare(name string, e Expression) Compiled {
	out := c.Compile(e)
	c.variables.Fields[name] = apicel.NewDeclField(name, declType(out.Type), true, nil, nil)
	return out
}

// Compile compiles e.
func (c *Compiler) Compile(e Expression) Compiled {
	out := Compiled{Text: e.Text}
	env, err := c.environment(e)
	if err != nil {
		out.Error = &apicel.Error{Type: apicel.ErrorTypeInternal, Detail: fmt.Sprintf("unexpected error loading CEL environment: %v", err)}
		return out
	}
	ast, issues := env.Compile(e.Text)
	if issues != nil {
		out.Error = &apicel.Error{Type: apicel.ErrorTypeInvalid, Detail: "compilation failed: " + issues.String(), Cause: apicel.NewCompilationError(issues)}
		return out
	}
	if !returns(ast.OutputType(), e.Returns) {
		out.Error = wrongType(ast.OutputType(), e.Returns)
		return out
	}
	program, err := env.Program(ast, cel.InterruptCheckFrequency(celconfig.CheckFrequency))
	if err != nil {
		out.Error = &apicel.Error{Type: apicel.ErrorTypeInternal, Detail: "program instantiation failed: " + err.Error()}
		return out
	}
	out.Program, out.Type = program, ast.OutputType()
	return out
}

func returns(got *cel.Type, wanted []*cel.Type) bool {
	for _, want := range wanted {
		if got.IsExactType(want) || cel.AnyType.IsExactType(want) {
			return true
		}
	}
	return false
}

func wrongType(got *cel.Type, wanted []*cel.Type) *apicel.Error {
	detail := fmt.Sprintf("must evaluate to one of %v but got %v", wanted, got.String())
	if len(wanted) == 1 {
		detail = fmt.Sprintf("must evaluate to %v but got %v", wanted[0].String(), got.String())
	}
	return &apicel.Error{Type: apicel.ErrorTypeInvalid, Detail: detail}
}

// environment returns the environment that e is compiled in, which is made once.
func (c *Compiler) environment(e Expression) (*cel.Env, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	set, ok := c.envs[e.Sees]
	if !ok {
		var err error
		if set, err = c.extend(e.Sees); err != nil {
			return nil, err
		}
		c.envs[e.Sees] = set
	}
	mode := environment.NewExpressions
	if e.Stored {
		mode = environment.StoredExpressions
	}
	return set.Env(mode)
}
