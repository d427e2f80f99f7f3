# Every target makes what it needs, .venv included.  `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Tables and images: the environment's folder, else a shared one beside the checkout, else ./data.
NASBENCH_EVAL_DATA ?= $(if $(wildcard ../shared/data),../shared/data,data)
export NASBENCH_EVAL_DATA
# Cells to score: a number, `all`, or `auto`: all on a GPU, else what two CPU cores do in about 20 minutes.
SAMPLE ?= auto
# Folder of the reproduction below results/; another one for another seed or other options.
NAME ?= $@
# More options for nasbench-score, such as OPTIONS='seed=1' NAME=seed1.
OPTIONS ?=
RUN ?= results/table1
# NAS-Bench-101's official file, where it is on the disk already.
FILE :=

.DEFAULT_GOAL := help
.PHONY: help demo demo-search reproduce-table1 reproduce-space201 reproduce-table3 reproduce-figure2 reproduce-figure3 reproduce-lga reproduce-lga-search reproduce-ntk-evolution reproduce-timm reproduce-darts reproduce-trained reproduce-benchmarks reproduce-sides reproduce-teg reproduce-te-nas reproduce-teg-darts reproduce-guides reproduce-guides101 reproduce-whole reproduce-nats reproduce-intrain-nas reproduce-table2 reproduce-uninas data data-nasbench101 test test-long test-pythons check lint golden bench gpu-check report leaderboard reproduce-ensembles docs clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ \
	  line = sprintf("  make %-23s", $$1); count = split($$2, words, " "); \
	  for (i = 1; i <= count; i++) { \
	    if (length(line " " words[i]) > 98) { print line; line = sprintf("%30s", "") } \
	    line = line " " words[i] } \
	  print line }'

# Without the tables, and no way to get them, the benchmark that the package brings along has to do.
TABLE201 := $(NASBENCH_EVAL_DATA)/nasbench201.parquet
reproduce-table1: $(READY) ## Table 1 of InTrain: score, correlate, print (SAMPLE=500, SAMPLE=all)
	@if test -f $(TABLE201) || $(BIN)/nasbench-data --data $(NASBENCH_EVAL_DATA); then \
	  set -x; $(BIN)/nasbench-score experiment=table1 n=$(SAMPLE) run=$(NAME) $(OPTIONS) && \
	  $(BIN)/nasbench-report results/$(NAME); \
	else \
	  printf '%s\n' '' 'The table of NAS-Bench-201 is not on this machine and could not be fetched, so Table 1 cannot be' \
	  'reproduced here.  What follows is the same set of proxies on the digits benchmark that the package' \
	  'brings along: thin networks trained on 8 x 8 images of handwritten digits.  Its correlations are its own,' \
	  'and not those of CIFAR-10.  For Table 1 run make data where there is a network, or set' \
	  'NASBENCH_EVAL_DATA to a folder that has the table.' ''; \
	  $(MAKE) --no-print-directory demo NAME=$(NAME)-on-digits; \
	fi

demo: $(READY) ## a full table with figures on the embedded digits benchmark: no data needed, a few minutes
	$(BIN)/nasbench-score experiment=demo run=$(NAME) $(OPTIONS)
	$(BIN)/nasbench-report results/$(NAME)

demo-search: $(READY) ## search with InTrain, train what was found against random networks (10 minutes)
	$(BIN)/python scripts/demo_search.py --run $(NAME) $(OPTIONS)

# The same on photographs, with more networks: five pairs of structures and five of genotypes.
DEMO_LARGE = $(BIN)/python scripts/demo_search.py --train-on cifar10 --networks 5 --steps 200 --epochs 12 --images 3000 \
  --batch-size 32 $(OPTIONS)
reproduce-trained: NAME = trained
reproduce-trained: $(READY) $(NASBENCH_EVAL_DATA)/images/cifar10.npz ## do searches pay? found and random networks, trained on CIFAR-10 (half an hour on two cores)
	$(DEMO_LARGE) --run $(NAME)/mobilenetv2 --space mobilenetv2
	$(DEMO_LARGE) --run $(NAME)/darts --channels 8 --layers 5 --epochs 6

reproduce-space201: NAME = space201
reproduce-space201: $(READY) $(NASBENCH_EVAL_DATA)/nasbench201.parquet ## all networks of NAS-Bench-201: exact tables, searches without scoring (four hours on two cores)
	$(BIN)/nasbench-score experiment=space201 run=$(NAME) $(OPTIONS)
	$(BIN)/nasbench-report results/$(NAME)

reproduce-table3: $(READY) $(NASBENCH_EVAL_DATA)/nasbench201.parquet ## Table 3 of InTrain: its parts, alone and combined
	$(BIN)/nasbench-score experiment=table3 n=$(SAMPLE) run=$(NAME) $(OPTIONS)
	$(BIN)/nasbench-report results/$(NAME) --table table3

# NAS-Bench-101's networks cost 10 to 100 times NAS-Bench-201's: 100 cells with small batches, or PROTOCOL=full,
# 1,000 with the papers'.
PROTOCOL ?= reduced
FULL := $(filter full,$(PROTOCOL))
reproduce-figure2: NAME = $@$(if $(FULL),-full)
reproduce-figure2: $(READY) $(NASBENCH_EVAL_DATA)/nasbench101.parquet $(NASBENCH_EVAL_DATA)/images/cifar10.npz ## Figure 2 of InTrain: NAS-Bench-101 (PROTOCOL=full on a GPU)
	$(BIN)/nasbench-score experiment=figure2$(if $(FULL),,_reduced) $(if $(filter auto,$(SAMPLE)),,n=$(SAMPLE)) run=$(NAME) $(OPTIONS)
	$(BIN)/nasbench-report results/$(NAME)

INPUTS := [intrain],[intrain_uniform],[intrain_ones],[intrain_perturbed_ones],[intrain_r32],[intrain_r128]
reproduce-figure3: $(READY) $(NASBENCH_EVAL_DATA)/nasbench201.parquet ## Figure 3 of InTrain: other inputs and resolutions, a run each
	$(BIN)/nasbench-score -m experiment=figure3 'proxy=$(INPUTS)' n=$(SAMPLE) run=$(NAME) $(OPTIONS)
	$(BIN)/nasbench-report results/$(NAME)/nasbench201-*/ --table figure3 --out results/$(NAME)/tables

reproduce-lga: $(READY) $(NASBENCH_EVAL_DATA)/nasbench201.parquet ## kernel scores after 0 to 10 epochs of training (20 minutes)
	$(BIN)/nasbench-score experiment=lga n=$(if $(filter auto,$(SAMPLE)),100,$(SAMPLE)) run=$(NAME) $(OPTIONS)
	$(BIN)/nasbench-report results/$(NAME) --table lga

# LGA's claim as a search: its scores after 0, 1 and 3 epochs against the kernel's condition number, random search
# and guides that know nothing of kernels.  On CIFAR-10 the scores are those of results/lga.
THIN := proxy.batch_size=32 proxy.channels=8 proxy.cells=1
DIGITS = truth=digits n=200 run=$(NAME)/search_digits
CIFAR10 = 'dataset=[cifar10]' n=100 run=$(NAME)/search_cifar10
LGA = algorithm=regularized_evolution,random steps=30 seeds=100 reuse=only $(OPTIONS)
reproduce-lga-search: NAME = reproduce-lga-search
reproduce-lga-search: $(READY) $(NASBENCH_EVAL_DATA)/nasbench201.parquet ## searches guided by kernel scores after 0 to 10 epochs of training (10 minutes)
	$(BIN)/nasbench-score truth=digits proxy=lga_digits n=200 reuse=none run=$(NAME)/digits
	$(BIN)/nasbench-report results/$(NAME)/digits
	$(BIN)/nasbench-search -m $(DIGITS) $(LGA) guide=lga proxy.epochs=0,1,3 $(THIN) proxy.training_images=900 proxy.flips=false
	$(BIN)/nasbench-search -m $(DIGITS) $(LGA) guide=ntk_condition $(THIN) proxy.training_images=900 proxy.flips=false
	$(BIN)/nasbench-search -m $(DIGITS) $(LGA) guide=params,val
	$(BIN)/nasbench-search -m $(CIFAR10) $(LGA) guide=lga proxy.epochs=0,1,3,10 $(THIN)
	$(BIN)/nasbench-search -m $(CIFAR10) $(LGA) guide=ntk_condition $(THIN)
	$(BIN)/nasbench-search -m $(CIFAR10) $(LGA) guide=params,val
	$(BIN)/nasbench-report results/$(NAME)/search_digits
	$(BIN)/nasbench-report results/$(NAME)/search_cifar10

# The recipe of each network is published; what is scored are its architecture and random weights.
reproduce-timm: $(READY) $(NASBENCH_EVAL_DATA)/timm_imagenet.parquet ## do proxies rank timm's networks on ImageNet? (an hour on two cores)
	mkdir -p results/$(NAME)
	$(BIN)/python scripts/select_timm.py > results/$(NAME)/archs.txt
	$(BIN)/nasbench-score experiment=timm archs=results/$(NAME)/archs.txt run=$(NAME) $(OPTIONS)
	$(BIN)/nasbench-report results/$(NAME)
	$(BIN)/python scripts/study_timm.py results/$(NAME)

# Accuracies of other benchmarks; networks without squeeze-and-excitation, whose gates some proxies do not bear.
BENCHMARKS = $(addprefix $(NASBENCH_EVAL_DATA)/,nasbench_macro.parquet accel_nasbench.parquet transnas101_micro.parquet)
reproduce-benchmarks: $(READY) $(BENCHMARKS) ## do proxies rank NAS-Bench-Macro, Accel-NASBench, TransNAS-Bench-101? (two hours on two cores)
	mkdir -p results/accel
	$(BIN)/python scripts/list_judged.py accel_nasbench --without s1 --n 1000 > results/accel/archs.txt
	$(BIN)/nasbench-score experiment=accel archs=results/accel/archs.txt $(OPTIONS)
	head -n 32 results/accel/archs.txt > results/accel/archs_32.txt
	$(BIN)/nasbench-score experiment=accel archs=results/accel/archs_32.txt 'proxy=[snip,grad_norm,naswot,intrain,zen,synflow]' \
	  proxy.batch_size=32 proxy.resolution=160 run=accel_32 $(OPTIONS)
	$(BIN)/python scripts/compare_runs.py results/accel results/accel_32
	$(BIN)/nasbench-score experiment=transnas $(OPTIONS)
	$(BIN)/nasbench-score experiment=macro $(OPTIONS)
	$(BIN)/nasbench-score experiment=macro 'proxy=[grasp,zico]' n=1000 run=macro_costly $(OPTIONS)
	for run in accel transnas macro macro_costly; do $(BIN)/nasbench-report results/$$run || exit; done

SIDES = $(addprefix $(NASBENCH_EVAL_DATA)/,nasbench201.parquet hw_nasbench201.parquet nasbench201_robustness.parquet)
reproduce-sides: $(READY) $(SIDES) ## NAS-Bench-201 by latency, energy and robustness (of the run RUN; minutes)
	$(BIN)/nasbench-report $(RUN) --costs hw_nasbench201 --resamples 200 --out $(RUN)/tables/costs
	$(BIN)/nasbench-report $(RUN) --truth nasbench201_robustness --out $(RUN)/tables/robustness

reproduce-darts: $(READY) $(NASBENCH_EVAL_DATA)/darts_1000.parquet $(NASBENCH_EVAL_DATA)/images/cifar10.npz ## do proxies rank genotypes of the DARTS space? (an hour on two cores)
	mkdir -p results/$(NAME)
	$(BIN)/python scripts/list_judged.py darts > results/$(NAME)/archs.txt
	$(BIN)/nasbench-score experiment=darts archs=results/$(NAME)/archs.txt run=$(NAME) $(OPTIONS)
	$(BIN)/nasbench-report results/$(NAME)

reproduce-ntk-evolution: $(READY) ## how kernels change over ten epochs in bad, middling and good cells of digits (10 minutes)
	$(BIN)/nasbench-score experiment=ntk_evolution run=$(NAME) $(OPTIONS)
	$(BIN)/nasbench-report results/$(NAME) --epochs ntk_evolution

# The run whose scores and proxies searches take, and the architectures that they keep to: a sample, or all.
SCORES ?= results/table1
CELLS ?= 1000
TEG_CELLS ?= 1000
SEEDS ?= 4
GUIDE_SEEDS ?= 100
SETS := [cifar10],[cifar100],[imagenet16_120]
K := ntk_condition_thin
R := linear_regions
M := ntk_mse
STORED = reuse=only options_from=$(SCORES)
# Where reproduce-te-nas has left TE-NAS's rows of Table 2.
PRUNED ?= results/te_nas
TEG = n=$(TEG_CELLS) $(STORED) mutation=node seeds=$(SEEDS) $(OPTIONS)
reproduce-teg: $(READY) $(NASBENCH_EVAL_DATA)/nasbench201.parquet ## TEG-NAS's Tables 2 and 5, on stored scores (SEEDS=100 TEG_CELLS=all)
	$(BIN)/nasbench-search -m algorithm=random,reinforce,fp_nas guide=teg,val 'dataset=$(SETS)' steps=500 run=$(NAME)/table2 $(TEG)
	$(BIN)/nasbench-search -m algorithm=reinforce_nats guide=val 'dataset=$(SETS)' steps=500 run=$(NAME)/table2 $(TEG)
	$(BIN)/nasbench-search -m algorithm=evolution_teg guide=teg,val 'dataset=$(SETS)' steps=1256 run=$(NAME)/table2 $(TEG)
	$(BIN)/nasbench-search -m algorithm=random guide=teg,val 'dataset=$(SETS)' steps=1256 run=$(NAME)/random $(TEG)
	$(BIN)/nasbench-search -m algorithm=random,reinforce 'guide=[$(K)],[$(R)],[$(M)],[$(K),$(R)],[$(K),$(M)],[$(R),$(M)],teg' 'dataset=[cifar100]' steps=500 run=$(NAME)/table5 $(TEG)
	$(BIN)/nasbench-search algorithm=reinforce guide=teg seeds=1 steps=500 run=$(NAME)/landscape/parent n=$(TEG_CELLS) $(STORED) mutation=node
	for step in 20 300; do $(BIN)/nasbench-search algorithm=reinforce guide=teg fork=results/$(NAME)/landscape/parent fork_step=$$step \
	  'seeds=[1,2]' steps=$$((step + 100)) run=$(NAME)/landscape/children_$$step n=$(TEG_CELLS) $(STORED) mutation=node; done
	$(BIN)/nasbench-report results/$(NAME)/table2 results/$(NAME)/random $(wildcard $(PRUNED)) --out results/$(NAME)/table2/tables
	$(BIN)/nasbench-report results/$(NAME)/table5
	for step in 20 300; do $(BIN)/nasbench-report results/$(NAME)/landscape/children_$$step --landscape $(SCORES); done
	$(BIN)/nasbench-report $(SCORES) --indicators $(K),$(R),$(M) --out results/$(NAME)/indicators

# Its rows TE-NAS and TE-NAS + TEG: pruning, with one mini-batch of 64 for each kernel; as published are
# OPTIONS='proxy.ntk_condition_thin.batch_size=72 proxy.ntk_condition_thin.batches=3' (four times as long).
reproduce-te-nas: $(READY) $(NASBENCH_EVAL_DATA)/nasbench201.parquet ## TE-NAS's pruning of a supernet of NAS-Bench-201, on three data sets with four seeds (an hour on two cores)
	$(BIN)/nasbench-search -m space=nasbench201_supernet algorithm=prune guide=te_nas,teg 'dataset=$(SETS)' seed=0,1,2,3 seeds=1 lag=8 reuse=none run=$(NAME) $(OPTIONS)
	$(BIN)/nasbench-report results/$(NAME)

# TEG-NAS and TE-NAS on the DARTS space: pruning once as published, with three mini-batches for each kernel,
# and with one for two seeds; the other searches have fewer steps.  InTrain and LGA score larger networks.
DARTS = $(BIN)/nasbench-search experiment=teg_darts
DARTS_PRUNE = $(BIN)/nasbench-search experiment=te_nas_darts
DARTS_RL = $(DARTS) algorithm=reinforce algorithm.learning_rate=0.07
DARTS_WIDE = $(BIN)/nasbench-search space=darts space.channels=16 space.layers=8 dataset=cifar10 lag=2 reuse=none
DARTS_LGA = guide=lga proxy.lga.epochs=1 proxy.lga.channels=8 proxy.lga.cells=0 proxy.lga.batch_size=32 proxy.lga.training_images=640
reproduce-teg-darts: NAME = reproduce-teg-darts
reproduce-teg-darts: $(READY) $(NASBENCH_EVAL_DATA)/images/cifar10.npz ## TEG-NAS's Tables 3 and 4: searches in the DARTS space (an hour on two cores)
	$(DARTS_RL) seeds=2 steps=500 run=$(NAME)/reinforce $(OPTIONS)
	$(DARTS) algorithm=evolution_teg mutation=uniform seeds=1 steps=1256 run=$(NAME)/evolution $(OPTIONS)
	$(DARTS) algorithm=fp_nas seeds=1 steps=800 run=$(NAME)/fp_nas $(OPTIONS)
	for name in reinforce regularized_evolution; do $(DARTS_WIDE) guide=intrain proxy.intrain.batch_size=16 algorithm=$$name \
	  seeds=2 steps=150 run=$(NAME)/intrain-$$name $(OPTIONS) || exit; done
	$(DARTS_WIDE) $(DARTS_LGA) algorithm=reinforce seeds=1 steps=100 run=$(NAME)/lga-reinforce $(OPTIONS)
	for step in 20 300; do $(DARTS_RL) fork=results/$(NAME)/reinforce fork_step=$$step \
	  'seeds=[1,2]' steps=$$((step + 100)) run=$(NAME)/landscape/children_$$step $(OPTIONS) || exit; done
	$(DARTS_PRUNE) run=$(NAME)/prune-0 $(OPTIONS)
	$(DARTS_PRUNE) proxy.ntk_condition_thin.batches=3 run=$(NAME)/prune-published $(OPTIONS)
	$(DARTS_PRUNE) seed=1 run=$(NAME)/prune-1 $(OPTIONS)
	$(BIN)/nasbench-report $$(ls -d results/$(NAME)/*/ | grep -v -e /landscape/ -e /tables/) --out results/$(NAME)/tables
	for step in 20 300; do $(BIN)/nasbench-report results/$(NAME)/landscape/children_$$step --landscape none || exit; done
	$(BIN)/python scripts/study_teg_darts.py results/$(NAME)

# The rows of Table 1 and the members of its aggregates.
GUIDES := val,flops,params,grad_norm,snip,grasp,fisher,gradsign,synflow,jacov,naswot,zen,zico,vkdnw_single_16,ntk_condition_thin,linear_regions,te_nas,teg,expressivity,progressivity,trainability,az_nas,intrain,intrain_cell
reproduce-guides: $(READY) $(NASBENCH_EVAL_DATA)/nasbench201.parquet ## every proxy of Table 1 as the guide of one evolution: does correlation predict search?
	$(BIN)/nasbench-search -m algorithm=regularized_evolution,random 'guide=$(GUIDES)' 'dataset=$(SETS)' steps=200 run=$(NAME) n=$(CELLS) $(STORED) seeds=$(GUIDE_SEEDS) $(OPTIONS)
	$(BIN)/nasbench-report results/$(NAME) --tau $(SCORES)

# The same in NAS-Bench-101, with the scores of reproduce-figure2 (n=1000), and InTrain in the whole space.
GUIDES101 := flops,params,zen,zico,expressivity,progressivity,trainability,az_nas,intrain,intrain_cell
GUIDES101_RUN = $(BIN)/nasbench-search -m space=nasbench101 'dataset=[cifar10]' algorithm=regularized_evolution,random steps=200
reproduce-guides101: SCORES = results/figure2
reproduce-guides101: $(READY) $(NASBENCH_EVAL_DATA)/nasbench101.parquet $(NASBENCH_EVAL_DATA)/images/cifar10.npz ## proxies as guides in NAS-Bench-101, on stored scores; then InTrain in the whole space (an hour on two cores)
	$(GUIDES101_RUN) guide=$(GUIDES101) run=$(NAME)/sample n=$(CELLS) $(STORED) seeds=$(GUIDE_SEEDS) $(OPTIONS)
	$(BIN)/nasbench-report results/$(NAME)/sample --tau $(SCORES)
	$(GUIDES101_RUN) guide=intrain run=$(NAME)/whole options_from=$(SCORES) reuse=none seeds=$(SEEDS) lag=8 $(OPTIONS)
	$(GUIDES101_RUN) guide=val,params,flops run=$(NAME)/whole seeds=$(SEEDS) $(OPTIONS)
	$(BIN)/nasbench-report results/$(NAME)/whole

# The same on the whole space, with what reproduce-space201 scored; these guides have a sample alone.
WHOLE = SCORES=results/space201 CELLS=all TEG_CELLS=all SEEDS=$(GUIDE_SEEDS)
SAMPLED := vkdnw_single_16
COMMA := ,
EMPTY :=
WHOLE_GUIDES = $(subst $(EMPTY) ,$(COMMA),$(filter-out $(SAMPLED),$(subst $(COMMA), ,$(GUIDES))))
reproduce-whole: ## guides and TEG-NAS's tables once more, on all cells of NAS-Bench-201
	$(MAKE) --no-print-directory reproduce-guides $(WHOLE) NAME=$(NAME)_guides 'GUIDES=$(WHOLE_GUIDES)'
	$(MAKE) --no-print-directory reproduce-teg $(WHOLE) NAME=$(NAME)_teg

# Simulated seconds of NATS-Bench's baselines; all cells are known where nasbench-data --nats has read its file.
NATS = experiment=nats_baselines algorithm=random,regularized_evolution,reinforce_nats run=$(NAME) $(OPTIONS)
reproduce-nats: NAME = reproduce-nats
reproduce-nats: $(READY) $(NASBENCH_EVAL_DATA)/nasbench201.parquet ## random search, evolution and REINFORCE guided by short trainings, 500 runs each
	$(BIN)/nasbench-search -m 'dataset=[cifar10]' simulated_seconds=20000 $(NATS)
	$(BIN)/nasbench-search -m 'dataset=[cifar100]' simulated_seconds=40000 $(NATS)
	$(BIN)/nasbench-search -m 'dataset=[imagenet16_120]' simulated_seconds=120000 $(NATS)
	$(BIN)/nasbench-report results/$(NAME)

# InTrain-NAS in a small setting: every guide below 450 million FLOPs, InTrain below 600 and 1,000 as well.
# The scores of Zen-NAS and ZiCo are those of networks without shortcuts, as in their papers' searches.
NAS_STEPS ?= 1000
NAS = $(BIN)/nasbench-search experiment=intrain_nas_small steps=$(NAS_STEPS)
NAS_SIZE = $(BIN)/nasbench-search space=mobilenetv2 space.max_flops=450_000_000 dataset=imagenet1k \
  algorithm=aznas_small seeds=3 steps=$(NAS_STEPS) lag=2
NAS_SCORE = $(BIN)/nasbench-score space=mobilenetv2 dataset=imagenet1k reuse=none
NAS_INPUT = proxy.batch_size=8 proxy.resolution=64 proxy.input=gaussian
NAS_REPORT = $(BIN)/nasbench-report results/$(NAME)/[0-9]*/ --out results/$(NAME)/tables
NAS_STUDY = $(BIN)/python scripts/study_intrain_nas.py results/$(NAME)
reproduce-intrain-nas: NAME = reproduce-intrain-nas
reproduce-intrain-nas: $(READY) ## InTrain-NAS for two cores: evolution on MobileNetV2 below 450, 600 and 1,000 million FLOPs
	for guide in intrain intrain_cell az_nas; do $(NAS) guide=$$guide run=$(NAME)/450-$$guide $(OPTIONS) || exit; done
	for guide in params flops; do $(NAS_SIZE) guide=$$guide run=$(NAME)/450-$$guide $(OPTIONS) || exit; done
	for guide in zen zico; do $(NAS) guide=$$guide space.shortcuts=false run=$(NAME)/450-$$guide $(OPTIONS) || exit; done
	$(NAS) algorithm=random guide=intrain run=$(NAME)/450-random $(OPTIONS)
	$(NAS) space.max_flops=600_000_000 run=$(NAME)/600-intrain $(OPTIONS)
	$(NAS) space.max_flops=1_000_000_000 space.max_layers=16 run=$(NAME)/1000-intrain $(OPTIONS)
	$(NAS_REPORT)
	$(NAS_STUDY) --list results/$(NAME)/structures.txt --full results/$(NAME)/full.txt
	for seed in 1 2 3; do \
	  $(NAS_SCORE) archs=results/$(NAME)/structures.txt 'proxy=[intrain,intrain_cell,az_nas,params]' $(NAS_INPUT) \
	    seed=$$seed run=$(NAME)/again-$$seed $(OPTIONS) && \
	  $(NAS_SCORE) archs=results/$(NAME)/structures.txt 'proxy=[zen,zico]' space.shortcuts=false $(NAS_INPUT) \
	    seed=$$seed run=$(NAME)/again-plain-$$seed $(OPTIONS) || exit; \
	done
	$(NAS_SCORE) archs=results/$(NAME)/full.txt proxy=intrain proxy.batch_size=64 proxy.resolution=224 run=$(NAME)/full $(OPTIONS)
	$(NAS_STUDY)

reproduce-table2: NAME = reproduce-intrain-nas
reproduce-table2: $(READY) ## Table 2 of InTrain: its rows beside what InTrain finds here, in a small setting and untrained
	$(NAS) run=$(NAME)/450-intrain $(OPTIONS)
	$(NAS) space.max_flops=600_000_000 run=$(NAME)/600-intrain $(OPTIONS)
	$(NAS) space.max_flops=1_000_000_000 space.max_layers=16 run=$(NAME)/1000-intrain $(OPTIONS)
	$(NAS_REPORT)
	$(NAS_STUDY) --table2

# UniNAS: thin networks are trained on digits and on CIFAR-10, and every proxy scores them; VKDNW searches the
# space from each known network, from random ones, by climbing and without a guide.
UNINAS_STEPS ?= 60
UNINAS_AGAIN ?= 50
UNINAS_TRAIN = $(BIN)/nasbench-train space=uninas space.resolution=32 'space.widths=[32,64,96,128]' 'space.stem=[16,32]' \
  'space.depths=[1,2,2,1]' optimizer=adamw batch_size=32
UNINAS_DIGITS = $(UNINAS_TRAIN) images=digits resolution=32 noise=1 copies=4 epochs=15
UNINAS = $(BIN)/nasbench-search experiment=uninas_small steps=$(UNINAS_STEPS)
UNINAS_PROXIES = grad_norm,snip,grasp,fisher,synflow,jacov,naswot,zen,zico,gradsign,ntk_frobenius,ntk_mean,expressivity,progressivity,trainability,vkdnw,vkdnw_live,vkdnw_all,vkdnw_single_16,flops,params,intrain,intrain_cell
reproduce-uninas: NAME = reproduce-uninas
reproduce-uninas: $(READY) $(NASBENCH_EVAL_DATA)/images/cifar10.npz ## UniNAS: do proxies rank trained networks, and what does VKDNW find (three hours on two cores)
	$(BIN)/python scripts/list_uninas.py results/$(NAME)/archs.txt
	for n in 40 $(UNINAS_AGAIN); do head -n $$n results/$(NAME)/archs.txt > results/$(NAME)/archs_$$n.txt; done
	$(UNINAS_DIGITS) archs=results/$(NAME)/archs.txt 'seeds=[0]' run=$(NAME)/digits $(OPTIONS)
	$(UNINAS_DIGITS) archs=results/$(NAME)/archs_$(UNINAS_AGAIN).txt 'seeds=[1,2]' run=$(NAME)/digits_again $(OPTIONS)
	$(UNINAS_TRAIN) images=cifar10 epochs=8 archs=results/$(NAME)/archs_40.txt 'seeds=[0]' run=$(NAME)/cifar10 $(OPTIONS)
	$(BIN)/nasbench-score truth=results/$(NAME)/digits n=all 'proxy=[$(UNINAS_PROXIES)]' proxy.batch_size=32 reuse=none \
	  run=$(NAME)/scores $(OPTIONS)
	for start in coatnet resnet efficientnet vit random; do \
	  $(UNINAS) algorithm.start=$$start run=$(NAME)/from-$$start $(OPTIONS) || exit; done
	$(UNINAS) algorithm=hill_climbing algorithm.start=coatnet run=$(NAME)/climb-coatnet $(OPTIONS)
	$(UNINAS) algorithm=random_walk algorithm.start=coatnet run=$(NAME)/walk-coatnet $(OPTIONS)
	$(BIN)/nasbench-report $$(ls -d results/$(NAME)/*-*/ | grep -v again-) --out results/$(NAME)/search
	printf '%s\n' resnet efficientnet vit coatnet | cat - results/$(NAME)/search/answers.txt > results/$(NAME)/finals.txt
	for seed in 0 1; do $(BIN)/nasbench-score space=uninas space.resolution=64 archs=results/$(NAME)/finals.txt \
	  'dataset=[cifar10]' 'proxy=[vkdnw_live,vkdnw_all]' proxy.batch_size=16 proxy.resolution=64 seed=$$seed reuse=none \
	  run=$(NAME)/again-$$seed $(OPTIONS) || exit; done
	$(BIN)/python scripts/study_uninas.py results/$(NAME) --draws

data: $(READY) ## fetch the ground-truth tables and images into $NASBENCH_EVAL_DATA
	$(BIN)/nasbench-data --data $(NASBENCH_EVAL_DATA)

$(NASBENCH_EVAL_DATA)/nasbench201.parquet: | $(READY)
	$(BIN)/nasbench-data --data $(NASBENCH_EVAL_DATA)

$(NASBENCH_EVAL_DATA)/timm_imagenet.parquet: | $(READY)
	$(BIN)/nasbench-data --data $(NASBENCH_EVAL_DATA) --timm

$(NASBENCH_EVAL_DATA)/darts_1000.parquet: | $(READY)
	$(BIN)/nasbench-data --data $(NASBENCH_EVAL_DATA) --darts

NAMED := nasbench_macro accel_nasbench hw_nasbench201 nasbench201_robustness
$(addprefix $(NASBENCH_EVAL_DATA)/,$(addsuffix .parquet,$(NAMED))): $(NASBENCH_EVAL_DATA)/%.parquet: | $(READY)
	$(BIN)/nasbench-data --data $(NASBENCH_EVAL_DATA) $*

$(NASBENCH_EVAL_DATA)/transnas101_micro.parquet: | $(READY)
	$(BIN)/nasbench-data --data $(NASBENCH_EVAL_DATA) transnas_micro

$(NASBENCH_EVAL_DATA)/nasbench101.parquet: | $(READY)
	$(BIN)/nasbench-data --data $(NASBENCH_EVAL_DATA) --nasbench101

$(NASBENCH_EVAL_DATA)/images/cifar10.npz: | $(READY)
	$(BIN)/nasbench-data --data $(NASBENCH_EVAL_DATA) --images-only

data-nasbench101: $(READY) ## fetch and convert NAS-Bench-101's table, 523 MB (FILE=nasbench_only108.tfrecord if you have it)
	$(BIN)/nasbench-data --data $(NASBENCH_EVAL_DATA) --nasbench101 $(if $(FILE),'$(FILE)')

test: $(READY) ## the tests, on the CPU
	$(BIN)/pytest -n 2 --dist worksteal

test-long: $(READY) ## disturb real runs, sweep on launchers, fuzz all that is read from outside; new cases each time (20 minutes)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt 'ray[default]'
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -c constraints.txt hydra-ray-launcher
	FUZZING=long $(BIN)/pytest tests/faults tests/cluster tests/fuzz tests/scripts/test_gpu_check.py

test-pythons: ## try the commands under each Python found, 3.11 to 3.14 (OPTIONS=--local-torch: no download of PyTorch)
	$(PYTHON) scripts/test_pythons.py $(OPTIONS)

lint: $(READY) ## style, types and which module may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache

check: lint test docs ## style, types, tests and the documentation

golden: $(READY) ## write the golden records anew, after a change that is meant to move scores
	$(BIN)/python scripts/golden.py

bench: $(READY) ## what scoring costs, into results/bench (12 minutes on an idle machine; OPTIONS=--quick: one)
	$(BIN)/python scripts/bench.py $(OPTIONS)

gpu-check: $(READY) ## on a GPU: tests, golden records, costs, InTrain on all cells, into results/gpu_check (12 minutes)
	scripts/gpu_check.sh $(OPTIONS)

report: $(READY) ## the tables of a run again, on all cells and on the live ones (RUN=results/table1)
	$(BIN)/nasbench-report $(RUN)
	$(BIN)/nasbench-report $(RUN) --cells live

# Runs whose accuracies are at hand; another benchmark is one more name.
LEADERBOARD ?= table1 figure2 timm darts digits uninas/scores macro accel transnas
LEADERBOARD_RUNS = $(addprefix results/,$(LEADERBOARD))
leaderboard: $(READY) ## proxies across the benchmarks of the committed runs, into docs/leaderboard (half a minute)
	$(BIN)/nasbench-report $(LEADERBOARD_RUNS) --across --out docs/leaderboard

# Combinations of at most three passes, of any number, of what all benchmarks have, and with columns of proxies;
# last, three with GradSign, on the few cells of NAS-Bench-101 that have its scores and on further benchmarks.
ENSEMBLE_RUNS = $(addprefix results/,table1 figure2 timm darts digits uninas/scores)
ENSEMBLE = $(BIN)/nasbench-report --ensemble 3
reproduce-ensembles: NAME = ensembles
reproduce-ensembles: $(READY) ## is there a combination of three proxies that beats AZ-NAS? (eight minutes)
	$(ENSEMBLE) $(ENSEMBLE_RUNS) --passes 3 --out results/$(NAME)/three_passes
	$(ENSEMBLE) $(ENSEMBLE_RUNS) --out results/$(NAME)/any_passes
	$(ENSEMBLE) $(ENSEMBLE_RUNS) --passes 3 --pool shared --out results/$(NAME)/shared
	$(ENSEMBLE) $(ENSEMBLE_RUNS) --passes 3 --components --out results/$(NAME)/components
	for pool in intrain_cell,intrain_cell.gamma intrain_cell,expressivity trainability,expressivity; do \
	  $(ENSEMBLE) $(addprefix results/,table1 figure2 transnas accel macro) --pool gradsign,$$pool --out results/$(NAME)/gradsign_$$(echo $$pool | tr ,. __) || exit; done

docs: $(READY) ## the documentation site, into docs/_build/html; a broken link is an error
	$(BIN)/sphinx-build -E -W --keep-going -n -q -b html -d docs/_build/doctrees docs docs/_build/html

clean: ## remove the environments and the caches, keep results and data
	rm -rf $(VENV) .venvs docs/_build docs/reference/generated build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; name one with make PYTHON=…" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
