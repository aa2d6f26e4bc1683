package ecstest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http/httptest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecs"

	"github.com/fastship/fastship/deploy/ecstest"
)

// A deployment of an image that is not there, over a socket: any client that
// takes an endpoint URL will do, the AWS CLI as well.
func Example() {
	ctx := context.Background()
	double := ecstest.New(ecstest.Options{
		Timing: ecstest.Timing{Schedule: time.Millisecond},
		Runtime: ecstest.Script{
			"shop:2": {PullError: "CannotPullContainerError: failed to resolve ref shop:2: not found"},
		},
	})
	defer double.Close()
	server := httptest.NewServer(double)
	defer server.Close()

	_, err := double.Seed(ctx, ecstest.ServiceSeed{
		Service: "shop", Desired: 1,
		TaskDefinition: json.RawMessage(`{"family": "shop", "containerDefinitions": [{"name": "app", "image": "shop:1", "memory": 512}]}`),
		Config:         json.RawMessage(`{"deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": true, "rollback": true}}}`),
	})
	if err != nil {
		log.Fatal(err)
	}
	client := ecs.New(ecs.Options{
		BaseEndpoint: &server.URL, Region: "us-east-1",
		Credentials: credentials.NewStaticCredentialsProvider("AKID", "SECRET", ""),
	})
	next := &ecs.RegisterTaskDefinitionInput{}
	if err := json.Unmarshal([]byte(`{"family": "shop", "containerDefinitions": [{"name": "app", "image": "shop:2", "memory": 512}]}`), next); err != nil {
		log.Fatal(err)
	}
	if _, err := client.RegisterTaskDefinition(ctx, next); err != nil {
		log.Fatal(err)
	}
	if _, err := client.UpdateService(ctx, &ecs.UpdateServiceInput{Service: aws.String("shop"), TaskDefinition: aws.String("shop")}); err != nil {
		log.Fatal(err)
	}
	for double.Outcome("default", "shop")[1].Verdict == ecstest.Ongoing {
		time.Sleep(time.Millisecond)
	}
	out, err := client.ListServiceDeployments(ctx, &ecs.ListServiceDeploymentsInput{Service: aws.String("shop")})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(out.ServiceDeployments[0].Status)
	fmt.Println(*out.ServiceDeployments[0].StatusReason)
	// Output:
	// ROLLBACK_SUCCESSFUL
	// Service deployment rolled back because the circuit breaker threshold was exceeded.
}
