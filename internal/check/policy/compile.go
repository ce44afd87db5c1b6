package policy

import (
	"context"

	"github.com/open-policy-agent/frameworks/constraint/pkg/core/templates"
	celschema "github.com/open-policy-agent/gatekeeper/v3/pkg/drivers/k8scel/schema"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/drivers/k8scel/transform"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/cel/environment"

	"lumacore.dev/lumacore/internal/render"
)

// mistake is an expression that does not compile.
type mistake struct {
	at     []any // its field
	reason string
}

// compiler compiles CEL expressions as the API server does, and keeps what is wrong with
// them: its own plug-in and Gatekeeper's engine let such a policy pass, and fail for
// every object that it is about.
type compiler struct {
	*cel.CompositedCompiler
	mistakes []mistake
}

func (c *compiler) note(res cel.CompilationResult, at []any) {
	if res.Error != nil {
		c.mistakes = append(c.mistakes, mistake{at, res.Error.Detail})
	}
}

// compiled runs f with a compiler and returns what is wrong; root is the field that is
// blamed when f fails.
func compiled(ctx context.Context, root []any, f func(*compiler) error) []mistake {
	var found []mistake
	err := guarded(ctx, compileLimit, func(context.Context) error {
		own, err := cel.NewCompositedCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))
		if err != nil {
			return err
		}
		c := &compiler{CompositedCompiler: own}
		if err := f(c); err != nil {
			return err
		}
		found = c.mistakes
		return nil
	})
	if err != nil {
		return []mistake{{root, err.Error()}}
	}
	return found
}

// under is a field below another one.
func under(root []any, fields ...any) []any { return append(root[:len(root):len(root)], fields...) }

// compilePolicy compiles a ValidatingAdmissionPolicy.
func compilePolicy(ctx context.Context, p *admissionv1.ValidatingAdmissionPolicy) []mistake {
	spec := []any{"spec"}
	return compiled(ctx, spec, func(c *compiler) error {
		o := cel.OptionalVariableDeclarations{HasParams: p.Spec.ParamKind != nil, HasAuthorizer: true}
		for i, v := range p.Spec.Variables {
			c.note(c.CompileAndStoreVariable(&validating.Variable{Name: v.Name, Expression: v.Expression}, o, environment.NewExpressions), under(spec, "variables", i, "expression"))
		}
		for i, m := range p.Spec.MatchConditions {
			c.note(c.CompileCELExpression(&matchconditions.MatchCondition{Name: m.Name, Expression: m.Expression}, o, environment.NewExpressions), under(spec, "matchConditions", i, "expression"))
		}
		for i, v := range p.Spec.Validations {
			c.note(c.CompileCELExpression(&validating.ValidationCondition{Expression: v.Expression}, o, environment.NewExpressions), under(spec, "validations", i, "expression"))
			if v.MessageExpression != "" {
				c.note(c.CompileCELExpression(&validating.MessageExpressionCondition{MessageExpression: v.MessageExpression}, o, environment.NewExpressions), under(spec, "validations", i, "messageExpression"))
			}
		}
		return nil
	})
}

// compileTemplate compiles the CEL of a ConstraintTemplate, which finds its parameters
// and the object in variables of Gatekeeper's.
func compileTemplate(ctx context.Context, o *render.Object, t *templates.ConstraintTemplate) []mistake {
	root := []any{"spec", "targets"}
	list, _, _ := unstructured.NestedSlice(o.Object, "spec", "targets")
	if len(list) > 0 {
		target, _ := list[0].(map[string]any)
		code, _ := target["code"].([]any)
		for i, item := range code {
			if m, ok := item.(map[string]any); ok && m["engine"] == celschema.Name {
				root = []any{"spec", "targets", 0, "code", i, "source"}
			}
		}
	}
	return compiled(ctx, root, func(c *compiler) error {
		source, err := celschema.GetSourceFromTemplate(t)
		if err != nil {
			return err
		}
		inner := cel.OptionalVariableDeclarations{HasParams: true}
		c.CompileAndStoreVariables(transform.AllVariablesCEL(), inner, environment.StoredExpressions)
		variables, err := source.GetVariables()
		if err != nil {
			return err
		}
		// Policies see their parameters through Gatekeeper's variables alone.
		for i, v := range variables {
			c.note(c.CompileAndStoreVariable(v, inner, environment.NewExpressions), under(root, "variables", i, "expression"))
		}
		for field, get := range map[string]func() ([]cel.ExpressionAccessor, error){"matchConditions": source.GetMatchConditions, "validations": source.GetValidations} {
			list, err := get()
			if err != nil {
				return err
			}
			for i, e := range list {
				c.note(c.CompileCELExpression(e, cel.OptionalVariableDeclarations{}, environment.NewExpressions), under(root, field, i, "expression"))
			}
		}
		messages, err := source.GetMessageExpressions()
		if err != nil {
			return err
		}
		for i, e := range messages {
			if e != nil {
				c.note(c.CompileCELExpression(e, cel.OptionalVariableDeclarations{}, environment.NewExpressions), under(root, "validations", i, "messageExpression"))
			}
		}
		return nil
	})
}
